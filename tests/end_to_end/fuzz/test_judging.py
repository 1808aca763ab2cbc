"""What the run calls a failure, a difference, a leak of memory."""

from __future__ import annotations

import gzip
from dataclasses import replace

import pytest

from tests.end_to_end.fuzz.asking import Answer, Request
from tests.end_to_end.fuzz.declarations import operations
from tests.end_to_end.fuzz.fuzzing import Fuzzing, error_of
from tests.end_to_end.fuzz.judging import Findings, grown, misshapen, restarted, worse
from tests.support.local_stack import RunningStack

ID = {"x-request-id": "1"}
REQUEST = Request(operation="POST /x", method="POST", target="/x", body=b"{}")


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (Answer(status=200), False),
        (Answer(status=404), False),
        (Answer(status=500), True),
        (Answer(status=501), True),
        (Answer(status=503), True),
        (Answer(status=503, body=b"The tracking service has no replica that is ready."), False),
        (Answer(status=0, body=b"no answer in 30 s"), True),
    ],
)
def test_a_failure_is_a_5xx_or_silence_and_no_refusal(answer: Answer, failed: bool) -> None:
    assert answer.failed is failed


@pytest.mark.parametrize(
    ("ours", "stocks", "expected"),
    [(500, 404, True), (501, 200, True), (501, 400, False), (404, 200, False), (500, 500, False), (0, 404, True)],
)
def test_the_platform_is_worse_where_it_alone_fails(ours: int, stocks: int, expected: bool) -> None:
    assert worse(Answer(status=ours), Answer(status=stocks)) is expected


def test_an_answer_has_an_id_and_no_traceback() -> None:
    assert misshapen(Answer(status=500, headers=ID)) is None
    assert "X-Request-Id" in str(misshapen(Answer(status=200)))
    assert "traceback" in str(misshapen(Answer(status=500, headers=ID, body=b"Traceback (most recent call last):")))
    for inside in (b"[SQL: INSERT", b"permission denied for table x", b"AuthorizationPermissionMismatch"):
        assert "in its body" in str(misshapen(Answer(status=400, headers=ID, body=inside)))


def test_equal_failures_have_one_cause() -> None:
    first, second = (
        Answer(status=500, body=b'{"error_code": "INTERNAL_ERROR", "message": "no run \'%s\' of 17"}' % name)
        for name in (b"a", b"b")
    )
    assert first.cause == second.cause
    assert first.cause.startswith("500 no run")


def test_the_error_of_a_log_is_the_last_one() -> None:
    log = (
        'Traceback (most recent call last):\n  File "a.py", line 1\nKeyError: 1\n\nDuring handling\n\n'
        'Traceback (most recent call last):\n  File "b.py", line 2\n    raise x\npsycopg2.errors.DataError: too long\n'
    )
    assert error_of(log) == "psycopg2.errors.DataError: too long"
    assert error_of("INFO all is well") is None


def test_a_process_that_is_another_one_or_gone_or_grew_is_named() -> None:
    assert restarted({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 9}) == [
        "b was process 2 and is 9",
        "c was process 3 and is gone",
    ]
    (line,) = grown({"a": 100.0, "b": 100.0}, {"a": 140.0, "b": 250.0, "new": 900.0}, limit=50)
    assert line.startswith("b grew from 100 to 250")


@pytest.mark.parametrize(
    ("ours", "stocks", "kept"),
    [
        ([500], [500], ("stocks",)),
        ([500, 500], [200, 200], ("ours",)),
        ([500, 200], [200, 200], ("once",)),
        ([500, 500], [200, 500], ("once",)),
        ([400], [], ()),
    ],
)
def test_only_what_fails_here_twice_and_there_never_is_a_finding(
    ours: list[int], stocks: list[int], kept: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    here, there = iter(ours), iter(stocks)
    monkeypatch.setattr("tests.end_to_end.fuzz.fuzzing.ask", lambda *_: Answer(status=next(here), headers=ID))
    monkeypatch.setattr(RunningStack, "url", "http://127.0.0.1:1")
    entry = {"request_id": ID["x-request-id"], "exception": "Traceback (most recent call last):\nKeyError: 1"}
    monkeypatch.setattr(RunningStack, "log_entries", lambda *_: iter([{"request_id": "2", "error": "other"}, entry]))
    run = Fuzzing(
        stack=RunningStack(tmp_path),  # type: ignore[arg-type]
        compare=lambda _: Answer(status=next(there)),
        findings=Findings(),
    )
    run.send(REQUEST)
    found = run.findings
    assert tuple(name for name in ("ours", "stocks", "once") if getattr(found, name)) == kept
    assert found.requests == 1
    said = [*found.once, *(failure.answer for failure in found.ours.values())]
    assert ["(KeyError: 1)" in each for each in said] == [True for name in kept if name != "stocks"]


def test_stock_mlflow_is_asked_what_the_platform_hands_to_mlflow() -> None:
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    request = Request(operation="o", method="POST", target="/", headers=packed, body=gzip.compress(b"[]"))
    assert (request.unpacked.body, request.unpacked.headers) == (b"[]", {"Content-Type": "application/json"})
    damaged = replace(request, body=gzip.compress(b"[]")[:-4])
    assert damaged.unpacked is damaged


def test_every_route_that_mlflow_declares_is_asked() -> None:
    asked = {str(operation) for operation in operations()}
    assert len(asked) > 200
    assert {"POST /api/2.0/mlflow/runs/log-batch", "GET /api/3.0/mlflow/traces/{trace_id}"} <= asked
    assert "PUT /api/2.0/mlflow-artifacts/artifacts/{artifact_path}" in asked
