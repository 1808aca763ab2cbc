"""Where Azure Resource Manager is, which token goes there, and which failed calls are repeated when."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Iterator

import pytest

from components.azure.arm import Arm, ArmError, endpoint, token_scope
from tests.support.arm_server import ArmServer, Clock, client_of
from tests.support.json_server import Answer
from tests.support.ports import free_port


class Echo(ArmServer):
    """Answers every call, after its refusals, or hangs up on as many as `hangs_up`."""

    hangs_up = 0
    following = ""
    """The last page of a list ends with this link."""

    def answer(self, method: str, path: str) -> Answer | None:
        if self.hangs_up:
            self.hangs_up -= 1
            return None
        if path == "/list":
            return 200, {"value": [1], "nextLink": f"{self.url}/list/2?api-version=1"}, {}
        if path == "/list/2":
            return 200, {"value": [2], "nextLink": self.following}, {}
        return 200, {"method": method, "path": path}, {}


@pytest.fixture
def azure() -> Iterator[Echo]:
    server = Echo()
    with server.serving():
        yield server


@pytest.mark.parametrize(
    ("given", "used", "scope"),
    [
        ("", "https://management.azure.com", "https://management.azure.com/.default"),
        (
            "https://management.usgovcloudapi.net/",
            "https://management.usgovcloudapi.net",
            "https://management.usgovcloudapi.net/.default",
        ),
        ("http://127.0.0.1:8443", "http://127.0.0.1:8443", "https://management.azure.com/.default"),
        ("http://localhost:8443/", "http://localhost:8443", "https://management.azure.com/.default"),
        ("https://localhost", "https://localhost", "https://management.azure.com/.default"),
    ],
)
def test_the_environment_names_the_cloud(given: str, used: str, scope: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARM_ENDPOINT", given)
    assert Arm(api_version="1").endpoint == endpoint() == used
    assert token_scope(used) == scope


def test_without_the_variable_it_is_the_public_cloud() -> None:
    assert endpoint({}) == "https://management.azure.com"


@pytest.mark.parametrize(
    "given",
    [
        "http://management.azure.com",
        "http://localhost.example",
        "http://localhost@example.com",
        "http://127.0.0.1.example:80",
        "ftp://localhost",
        "management.azure.com",
        "https://",
        "https://[",
    ],
)
def test_an_endpoint_in_clear_text_is_refused(given: str) -> None:
    with pytest.raises(ArmError, match=r"ARM_ENDPOINT: .* clear text; allowed: https://HOST, .* localhost; unset it"):
        endpoint({"ARM_ENDPOINT": given})


@pytest.mark.parametrize("status", [409, 429, 500, 502, 503, 504])
def test_a_look_that_failed_in_passing_is_repeated(azure: Echo, client: Arm, clock: Clock, status: int) -> None:
    azure.refusals = [("GET", status, {})]
    assert client.get("/a").body == {"method": "GET", "path": "/a"}
    assert clock.slept == [2]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 412])
def test_a_final_answer_is_reported_at_once(azure: Echo, client: Arm, clock: Clock, status: int) -> None:
    azure.refusals = [("GET", status, {"Retry-After": "1"})]
    with pytest.raises(ArmError, match=rf"^GET /a: {status} E{status} not now$") as error:
        client.get("/a?filter=b")
    assert (error.value.status, clock.slept) == (status, [])


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_start_that_may_have_happened_is_not_repeated(azure: Echo, client: Arm, status: int) -> None:
    azure.refusals = [("POST", status, {"Retry-After": "1"})]
    with pytest.raises(ArmError, match=f"POST /a: {status}"):
        client.post("/a")
    assert azure.calls == ["POST /a"]


def test_a_lost_answer_is_asked_for_again_and_a_lost_start_is_reported(azure: Echo, client: Arm, clock: Clock) -> None:
    azure.hangs_up = 2
    assert client.get("/a").status == 200
    assert clock.slept == [2, 4]
    azure.hangs_up = 1
    with pytest.raises(ArmError, match=f"^POST /a: no answer from {azure.url}: ") as error:
        client.post("/a")
    assert error.value.status == 0


def test_nobody_at_the_endpoint_is_reported_after_the_patience(clock: Clock) -> None:
    port = free_port()
    nobody = Arm(
        api_version="1",
        endpoint=f"http://127.0.0.1:{port}",
        token=lambda _: "token",
        patience=20,
        clock=lambda: clock.now,
        sleep=clock.sleep,
    )
    with pytest.raises(ArmError, match=rf"^GET /a: no answer from http://127.0.0.1:{port}: .*Connection refused"):
        nobody.get("/a")
    assert clock.slept == [2, 4, 8]


def test_waits_double_up_to_a_minute(azure: Echo, clock: Clock) -> None:
    azure.refusals = [("GET", 503, {})] * 9
    with pytest.raises(ArmError, match="GET /a: 503"):
        client_of(azure, clock, patience=250).get("/a")
    assert clock.slept == [2, 4, 8, 16, 32, 60, 60, 60]


def test_azure_says_how_long_to_wait(azure: Echo, client: Arm, clock: Clock) -> None:
    at = email.utils.formatdate(time.time() + 90, usegmt=True)
    azure.refusals = [("GET", 429, {"Retry-After": said}) for said in ("17", at, "soon")]
    client.get("/a")
    assert clock.slept[0] == 17
    assert 0 < clock.slept[1] <= 90
    assert clock.slept[2] == pytest.approx(8, abs=6)  # a wait of its own where nothing can be read
    assert azure.calls == ["GET /a"] * 4


def test_each_attempt_is_signed_and_names_a_version(azure: Echo, clock: Clock) -> None:
    tokens: list[str] = []

    def token(scope: str) -> str:
        tokens.append(scope)
        return "token"

    azure.refusals = [("GET", 503, {})]
    client_of(azure, clock, token=token).get("/a")
    assert tokens == ["https://management.azure.com/.default"] * 2


def test_the_pages_of_a_list_are_followed_to_its_end(azure: Echo, client: Arm) -> None:
    assert [page["value"] for page in client.pages("/list")] == [[1], [2]]


@pytest.mark.parametrize("address", ["https://elsewhere.example/3", ".elsewhere.example/3"])
def test_a_page_elsewhere_gets_no_token(azure: Echo, client: Arm, address: str) -> None:
    azure.following = f"{azure.url}{address}" if address.startswith(".") else address
    pages = client.pages("/list")
    assert [next(pages)["value"], next(pages)["value"]] == [[1], [2]]
    with pytest.raises(ArmError, match=r"GET /list: the list goes on at '\S*elsewhere\.example/3', which is not at "):
        next(pages)
