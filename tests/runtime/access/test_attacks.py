"""Requests of who knows the code: no spelling of one creates what its caller may not, by either way in."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator

import pytest

from mlflow_runtime.middleware.access.browser import cookies, flow
from mlflow_runtime.middleware.access.roles import Role
from tests.runtime.access.doors import GATEWAY, OWN_PORT, Door, doors
from tests.runtime.access.teams import Member, Teams
from tests.runtime.access.test_signed_in import audited
from tests.support.services import eventually

CREATE = "/api/2.0/mlflow/experiments/create"
TEAM, OTHER = "team-a", "team-b"

PATHS = (
    *(CREATE, f"/{CREATE}", f"{CREATE}/", CREATE.replace("/mlflow", "//mlflow"), CREATE.upper(), f"/.{CREATE}"),
    *(f"/ajax{CREATE}".replace("ajax/", "ajax-"), "/api/2.0mlflow/experiments/create"),
    *(CREATE.replace("create", "%63reate"), CREATE.replace("s/c", "s%2Fc"), CREATE.replace("/api", "/%61pi")),
    *(f"/live/..{CREATE}", f"/live/%2e%2e{CREATE}", f"/ready/..%2f{CREATE[1:]}", f"/metrics/..;{CREATE}"),
    *(f"/access/..{CREATE}", f"/access/sign-in/%2e%2e/%2e%2e{CREATE}", f"/access%2f..{CREATE}", f"/live%00{CREATE}"),
    *(f"{CREATE};a=b", f"{CREATE}%00", f"{CREATE}%0a", f"{CREATE}%20", f"{CREATE}?a=/live", f"{CREATE}%3f"),
    *(f"http://evil.example{CREATE}", f"http://127.0.0.1/live/..{CREATE}", f"//evil.example{CREATE}"),
    *(f"\\{CREATE[1:]}", CREATE.replace("/", "\\"), CREATE.replace("/experiments", "/%5cexperiments")),
    *(f"/static-files/..{CREATE}", f"/static-files/%2e%2e{CREATE}", f"/graphql/..{CREATE}"),
    "/api/2.0/mlflow-artifacts/artifacts/%2e%2e/%2e%2e/mlflow/experiments/create",
)
METHODS = ("POST", "post", "Post", "PUT", "PATCH", "QUERY")


@pytest.fixture(scope="module")
def both(teams: Teams, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Door]]:
    with doors(teams, tmp_path_factory.mktemp("attacks")) as opened:
        yield {door.name: door for door in opened}


def request(
    door: Door, *headers: str, method: str = "POST", path: str = CREATE, version: str = "1.1", more: str = "close"
) -> bytes:
    """A request that would create an experiment, byte by byte. `more` is its Connection."""
    body = json.dumps({"name": f"attack-{uuid.uuid4().hex}"})
    fixed = (f"Host: {door.host}", "Content-Type: application/json", f"Content-Length: {len(body)}")
    head = "\r\n".join((f"{method} {path} HTTP/{version}", *fixed, f"Connection: {more}", *headers))
    return f"{head}\r\n\r\n{body}".encode()


def bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


def where(team: str) -> str:
    return f"X-MLFLOW-WORKSPACE: {team}"


def statuses(received: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


def created(teams: Teams) -> int:
    with teams.platform.plane.superuser("tracking") as cursor:
        cursor.execute("select count(*) from experiments where name like 'attack-%%'")
        (count,) = cursor.fetchone() or (0,)
    return int(count)


@pytest.mark.parametrize("name", [OWN_PORT, GATEWAY])
def test_no_spelling_of_a_path_and_no_method_creates_for_who_may_not(
    teams: Teams, both: dict[str, Door], name: str
) -> None:
    door, before = both[name], created(teams)
    reader, contributor = (Member(teams, TEAM, role).token for role in (Role.READER, Role.CONTRIBUTOR))
    shapes = [("POST", path) for path in PATHS] + [(method, CREATE) for method in METHODS]
    hidden = ("X-HTTP-Method-Override: GET", "X-Original-URL: /live", "X-Rewrite-URL: /live", "X-Forwarded-Prefix: /x")
    found = {
        (who, method, path): statuses(door.raw(request(door, *sent, *hidden, method=method, path=path)))
        for method, path in shapes
        for who, sent in {"anonymous": (), "reader": (bearer(reader), where(TEAM))}.items()
    }
    assert {shape: answers for shape, answers in found.items() if not answers or answers[0] < 400} == {}
    assert created(teams) == before
    # The same bytes by who may.
    assert statuses(door.raw(request(door, bearer(contributor), where(TEAM), *hidden))) == [200]
    assert created(teams) == before + 1


@pytest.mark.parametrize("name", [OWN_PORT, GATEWAY])
def test_headers_that_two_readers_could_read_in_two_ways_create_nothing(
    teams: Teams, both: dict[str, Door], name: str
) -> None:
    door, before = both[name], created(teams)
    reader, contributor = (bearer(Member(teams, TEAM, role).token) for role in (Role.READER, Role.CONTRIBUTOR))
    token = contributor.removeprefix("Authorization: Bearer ")
    session = f"Cookie: __Host-access-0={token}"
    own_page = ("Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: cors")
    shapes: dict[str, tuple[tuple[str, ...], str]] = {
        "two tokens": ((reader, contributor), "1.1"),
        "two tokens, turned round": ((contributor, reader), "1.1"),
        "a token twice": ((contributor, contributor), "1.1"),
        "two tokens in one": ((f"{contributor}, {reader.partition(' ')[2]}",), "1.1"),
        "a name and then a space": ((contributor.replace(":", " :"),), "1.1"),
        "an underscore": ((f"X_MLFLOW_AUTHORIZATION: Bearer {token}",), "1.1"),
        "the AI gateway's header": ((f"X-MLflow-Authorization: Bearer {token}",), "1.1"),
        "two workspaces": ((contributor, where(TEAM), where(OTHER)), "1.1"),
        "two workspaces, turned round": ((contributor, where(OTHER), where(TEAM)), "1.1"),
        "two workspaces in one": ((contributor, where(f"{TEAM},{OTHER}")), "1.1"),
        "another workspace": ((contributor, where(OTHER)), "1.1"),
        "the folder of workspaces": ((contributor, where("workspaces")), "1.1"),
        "a workspace by an underscore": ((reader, where(TEAM), f"X_MLFLOW_WORKSPACE: {OTHER}"), "1.1"),
        "two sessions": ((session, session, *own_page), "1.1"),
        "a session beside a token": ((session, reader, *own_page), "1.1"),
        "a session of another site": ((session, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: cors"), "1.1"),
        "a session of nowhere": ((session,), "1.1"),
        "a session that opens a page": ((session, "Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"), "1.1"),
        "a session twice said to be its own page": (
            (session, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-origin"),
            "1.1",
        ),
        "two lengths": ((contributor, "Content-Length: 0"), "1.1"),
        "nobody in HTTP/1.0": ((), "1.0"),
        "a reader in HTTP/1.0": ((reader, where(TEAM)), "1.0"),
        "HTTP/0.9": ((contributor,), "0.9"),
        "HTTP/2.0": ((contributor,), "2.0"),
    }
    found = {shape: statuses(door.raw(request(door, *sent, version=kind))) for shape, (sent, kind) in shapes.items()}
    assert {shape: answers for shape, answers in found.items() if not answers or answers[0] < 400} == {}
    assert created(teams) == before
    for sent, kind in (((contributor, where(TEAM)), "1.1"), ((contributor,), "1.0"), ((session, *own_page), "1.1")):
        assert statuses(door.raw(request(door, *sent, version=kind))) == [200], sent
    assert created(teams) == before + 3


@pytest.mark.parametrize("name", [OWN_PORT, GATEWAY])
def test_a_request_behind_another_one_is_judged_by_itself(teams: Teams, both: dict[str, Door], name: str) -> None:
    door, before = both[name], created(teams)
    contributor, reader = (Member(teams, TEAM, role).token for role in (Role.CONTRIBUTOR, Role.READER))
    sent = [
        request(door, bearer(contributor), where(TEAM), more="keep-alive"),
        request(door, more="keep-alive"),
        request(door, bearer(reader), where(TEAM), more="keep-alive"),
        request(door, bearer(contributor), where(OTHER), more="keep-alive"),
        request(door, bearer(contributor)),
    ]
    assert statuses(door.raw(b"".join(sent))) == [200, 401, 403, 403, 200]
    assert created(teams) == before + 2


def test_the_record_of_a_sign_in_has_nothing_of_the_request_before_it(teams: Teams, both: dict[str, Door]) -> None:
    door, member = both[OWN_PORT], Member(teams, TEAM, Role.CONTRIBUTOR)
    experiment = member.made(CREATE, {"name": f"attack-{uuid.uuid4().hex}"})["experiment_id"]
    body = json.dumps({"experiment_id": experiment})
    head = f"POST {CREATE.replace('create', 'delete')} HTTP/1.1\r\nHost: {door.host}\r\n{bearer(member.token)}\r\n"
    first = f"{head}{where(TEAM)}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    second = f"GET /access/callback?state=x HTTP/1.1\r\nHost: {door.host}\r\nConnection: close\r\n\r\n"
    received = door.raw((first + second).encode())
    assert statuses(received) == [200, 400]
    (identifier,) = re.findall(rb"(?i)x-request-id: (\S+)", received)[1:]

    def lines() -> list[dict[str, object]]:
        return [line for line in audited(teams, "tracking") if line["request_id"] == identifier.decode()]

    eventually(lambda: bool(lines()), "the refused sign-in's record")
    assert [(line["reason"], line["ids"]) for line in lines()] == [("sign-in-not-begun", {})]


@pytest.mark.parametrize(
    "asked",
    [
        *("//evil.example", "/%5cevil.example", "/%09/evil.example", "/%0d%0aLocation:%20http://evil.example"),
        *("https:evil.example", "/%2f%2fevil.example/%2e%2e", "%2f%2fevil.example", "/access/../%2fevil.example"),
    ],
)
def test_a_sign_in_leads_to_no_other_host(teams: Teams, both: dict[str, Door], asked: str) -> None:
    for door in both.values():
        head = f"GET /access/sign-in?return={asked} HTTP/1.1\r\nHost: {door.host}\r\nConnection: close\r\n"
        forged = "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: http\r\nForwarded: host=evil.example\r\n"
        received = door.raw(f"{head}{forged}\r\n".encode()).decode()
        (location,) = re.findall(r"(?im)^location: (\S+)\r$", received)
        assert location.startswith(f"{teams.entra.authority}/oauth2/v2.0/authorize?")
        assert "evil" not in received
        # The page to return to is what the browser keeps.
        (kept,) = re.findall(rf"(?im)^set-cookie: {cookies.FLOW}-[^=]+=([^;]+);", received)
        begun = flow.unpacked(kept)
        assert begun is not None
        assert begun.path == "/"


def test_a_file_of_a_team_is_no_page_of_the_platform(teams: Teams) -> None:
    """Else whoever may log a file would act as whoever opens it."""
    member = Member(teams, TEAM, Role.REGISTRAR)
    experiment = member.made(CREATE, {"name": f"attack-{uuid.uuid4().hex}"})["experiment_id"]
    run = member.made("/api/2.0/mlflow/runs/create", {"experiment_id": experiment})["run"]["info"]
    name = f"m-{uuid.uuid4().hex}"
    member.made("/api/2.0/mlflow/registered-models/create", {"name": name})
    version = {"name": name, "source": run["artifact_uri"], "run_id": run["run_id"]}
    member.made("/api/2.0/mlflow/model-versions/create", version)
    for file in ("page.html", "picture.svg", "page.xhtml", "page.xml", "no-ending"):
        path = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run['run_id']}/artifacts/{file}"
        member.made(path, b"<html><script>alert(1)</script></html>", method="PUT")
        for asked in (
            path,
            f"/get-artifact?run_id={run['run_id']}&path={file}",
            f"/model-versions/get-artifact?name={name}&version=1&path={file}",
        ):
            answer = member.send(asked)
            assert answer.status == 200, asked
            assert answer.headers["Content-Disposition"].startswith("attachment"), asked
            assert answer.headers["X-Content-Type-Options"] == "nosniff", asked
