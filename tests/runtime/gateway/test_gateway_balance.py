"""Balance over replicas, health, and what is sent again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.runtime.gateway.stack import ARTIFACT_PATH, REGISTRY_PATH, TRACKING_PATH, Gateway, Request, Upstream, tell
from tests.support.answer import Answer
from tests.support.patience import OUTAGE_SECONDS, patience
from tests.support.waiting import until

Pair = tuple[Upstream, Upstream]


def cut_at_once(request: Request) -> None:
    request.cut()


def cut_after_the_body(request: Request) -> None:
    for _ in request.body():
        pass
    request.cut()


def cut_in_the_status_line(request: Request) -> None:
    for _ in request.body():
        pass
    request.wfile.write(b"HTTP/1.1 20")
    request.cut()


CUTS = [cut_at_once, cut_after_the_body, cut_in_the_status_line]


def all_seen(pair: Pair) -> int:
    return sum(len(replica.seen) for replica in pair)


def cut_first_only(pair: Pair, cut: Callable[[Request], None]) -> None:
    """Whichever replica gets the next request cuts it; the one after is answered."""
    lock = threading.Lock()
    cuts = [cut]

    def behave(request: Request) -> None:
        with lock:
            act = cuts.pop() if cuts else tell
        act(request)

    for replica in pair:
        replica.behave = behave


def test_the_replica_with_fewer_requests_in_flight_gets_the_next(gateway: Gateway, tracking: Pair) -> None:
    held = threading.Event()

    def hold_slow_ones(request: Request) -> None:
        if request.path == "/slow":
            held.wait()
        tell(request)

    for replica in tracking:
        replica.behave = hold_slow_ones
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(gateway.call, "GET", "/slow")
        until(lambda: all_seen(tracking) == 1, "the slow request arrived")
        others = {gateway.call("GET", "/").body["upstream"] for _ in range(10)}
        held.set()
        assert others == {replica.name for replica in tracking} - {slow.result().body["upstream"]}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_a_safe_request_that_broke_off_is_sent_again(
    gateway: Gateway, tracking: Pair, method: str, cut: Callable[[Request], None]
) -> None:
    cut_first_only(tracking, cut)
    assert gateway.call(method, "/").status == 200
    assert all_seen(tracking) == 2


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 500_000])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_any_other_request_is_sent_once(
    gateway: Gateway, tracking: Pair, method: str, body: bytes, cut: Callable[[Request], None]
) -> None:
    for replica in tracking:
        replica.behave = cut
    answer = gateway.call(method, TRACKING_PATH, body, {"Idempotency-Key": "1", "X-Idempotency-Key": "1"})
    assert answer.status == 502
    assert answer.body["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert "may have carried the request out" in answer.body["message"]
    assert "Retry-After" not in answer.headers
    assert all_seen(tracking) == 1


def test_a_post_is_sent_once_when_the_service_hangs_up_before_reading(gateway: Gateway, tracking: Pair) -> None:
    for replica in tracking:
        replica.hangs_up = True
        replica.stop()
        replica.start()
    answer = gateway.call("POST", TRACKING_PATH, b"{}")
    assert answer.status in (502, 503)
    assert all_seen(tracking) == 0


def test_no_post_is_sent_twice_on_connections_that_the_service_closes(gateway: Gateway, tracking: Pair) -> None:
    """The race of a request with the end of an idle connection: each may be lost, and none may be doubled."""

    def answer_and_close(request: Request) -> None:
        tell(request)
        request.close_connection = True

    for replica in tracking:
        replica.behave = answer_and_close
    statuses = [gateway.call("POST", f"/{number}", b"{}").status for number in range(100)]
    seen = [request.path for replica in tracking for request in replica.seen]
    assert len(seen) == len(set(seen))
    assert set(statuses) <= {200, 502}
    assert statuses.count(200) > 50


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_with_one_replica_dead_every_request_is_answered(gateway: Gateway, tracking: Pair, method: str) -> None:
    first, second = tracking
    first.stop()
    body = None if method == "GET" else b"x" * 500_000
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: gateway.call(method, f"/{number}", body), range(32)))
    assert [answer.body for answer in answers if answer.status != 200] == []
    assert {answer.body["upstream"] for answer in answers} == {second.name}
    assert len({request.path for request in second.seen}) == len(second.seen) == 32


def test_an_unready_replica_leaves_the_rotation_and_comes_back(gateway: Gateway, tracking: Pair) -> None:
    first, second = tracking

    def reached() -> set[str]:
        return {gateway.call("GET", "/").body["upstream"] for _ in range(12)}

    assert reached() == {first.name, second.name}
    first.ready = False
    until(lambda: reached() == {second.name}, "the unready replica gets nothing")
    first.ready = True
    until(lambda: reached() == {first.name, second.name}, "both replicas get requests")


PATHS = {"tracking": TRACKING_PATH, "registry": REGISTRY_PATH, "artifacts": ARTIFACT_PATH}


@pytest.mark.parametrize("how", ["unready", "dead"])
def test_with_no_replica_the_answer_says_to_try_again(gateway: Gateway, how: str) -> None:
    for replica in (replica for group in gateway.upstreams.values() for replica in group):
        if how == "dead":
            replica.stop()
        else:
            replica.ready = False

    def first_failure(path: str) -> Answer:
        answers: list[Answer] = []

        def fails() -> bool:
            answers.append(gateway.call("POST", path, b"{}"))
            return answers[-1].status != 200

        until(fails, f"{path} fails")
        return answers[-1]

    with ThreadPoolExecutor() as pool:
        for role, answer in zip(PATHS, pool.map(first_failure, PATHS.values()), strict=True):
            assert answer.status == 503
            assert answer.body["error_code"] == "TEMPORARILY_UNAVAILABLE"
            assert f"The {role} service has no replica that is ready" in answer.body["message"]
            assert answer.headers["Content-Type"] == "application/json"
            assert patience(dict(answer.headers)) > OUTAGE_SECONDS


@pytest.mark.parametrize("role", list(PATHS))
def test_one_service_s_loss_is_no_other_s(gateway: Gateway, role: str) -> None:
    for replica in gateway.upstreams[role]:
        replica.stop()
    others = [path for name, path in PATHS.items() if name != role]
    assert [gateway.call("POST", path, b"{}").status for path in others] == [200, 200]


def test_what_a_service_answers_itself_is_passed_on(gateway: Gateway, tracking: Pair) -> None:
    for replica in tracking:
        replica.behave = lambda request: request.reply(503, b"mine", {"Retry-After": "9"})
    answer = gateway.call("GET", "/")
    assert (answer.status, answer.content, answer.headers["Retry-After"]) == (503, b"mine", "9")
    assert all_seen(tracking) == 1
