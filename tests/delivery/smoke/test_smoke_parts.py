"""The parts that need no server."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.cli import run
from delivery.outcome import ExitCode
from delivery.smoke import cleaning
from delivery.smoke.bench import Bench
from delivery.smoke.check import LONGEST_REASON, UnexpectedError, describe, expect, shortened
from delivery.smoke.environment import CREDENTIALS, client_environment, verification
from delivery.smoke.limits import Limits, StopRequested
from delivery.smoke.report import Outcome, Report, State, document, line, summary
from delivery.smoke.runner import Step, abandoned, perform
from delivery.smoke.steps.table import STEPS
from delivery.smoke.target import UsageError, parse_url

Steps = list[Step[list[str]]]


def _noting(name: str, *needs: str, slow: bool = False) -> Step[list[str]]:
    def action(done: list[str]) -> str:
        done.append(name)
        return f"did {name}"

    return Step(name=name, action=action, needs=needs, slow=slow)


def _failing(name: str, message: str = "broken") -> Step[list[str]]:
    def action(_: list[str]) -> str:
        sys.stdout.write("chatter")
        logging.getLogger("smoke-test").error("no handler")
        sys.stderr.write("2026/01/01 00:00:00 WARNING lib: the deeper reason\nmore\n")
        raise UnexpectedError(message)

    return Step(name=name, action=action)


def test_steps_that_need_a_failed_one_are_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    steps: Steps = [_noting("a"), _failing("b"), _noting("c", "a"), _noting("d", "a", "b"), _noting("e", "d")]
    done: list[str] = []
    outcomes = list(perform(steps, done, quick=False))
    assert [outcome.state for outcome in outcomes] == [
        State.PASSED,
        State.FAILED,
        State.PASSED,
        State.NOT_RUN,
        State.NOT_RUN,
    ]
    assert done == ["a", "c"]
    assert outcomes[0].detail == "did a"
    assert outcomes[1].detail == "broken (logged: lib: the deeper reason)"
    assert [outcomes[3].detail, outcomes[4].detail] == ["needs b", "needs d"]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("quick", "state"), [(True, State.SKIPPED), (False, State.PASSED)])
def test_slow_steps_are_left_out_of_a_quick_run(quick: bool, state: State) -> None:
    steps: Steps = [_noting("a", slow=True), _noting("b")]
    assert [outcome.state for outcome in perform(steps, [], quick=quick)] == [state, State.PASSED]


def test_abandoned_steps() -> None:
    steps: Steps = [_noting("a"), _noting("b")]
    first, second = abandoned(steps, "interrupted", seconds=3)
    assert (first.state, first.seconds, first.detail) == (State.FAILED, 3, "interrupted")
    assert (second.state, second.seconds, second.detail) == (State.NOT_RUN, 0, "interrupted")
    assert abandoned([], "interrupted", seconds=3) == []


def test_the_table_names_only_earlier_steps_as_needed() -> None:
    names = [step.name for step in STEPS]
    assert len(set(names)) == len(names)
    for number, step in enumerate(STEPS):
        assert set(step.needs) <= set(names[:number]), step.name
    assert [step.name for step in STEPS if not step.needs] == ["server"]


def _report(*states: State, left_over: tuple[str, ...] = ()) -> Report:
    outcomes = [Outcome(name=f"s{n}", state=state, seconds=1, detail=f"d{n}") for n, state in enumerate(states)]
    return Report(url="http://x", outcomes=outcomes, seconds=2.5, left_over=list(left_over))


@pytest.mark.parametrize(
    ("report", "passed"),
    [
        (_report(State.PASSED, State.SKIPPED), True),
        (_report(State.PASSED, State.FAILED), False),
        (_report(State.PASSED, State.NOT_RUN), False),
        (_report(State.PASSED, left_over=("model m: why",)), False),
        (_report(), False),
    ],
)
def test_what_counts_as_passed(report: Report, passed: bool) -> None:
    assert report.passed is passed
    assert document(report)["passed"] is passed
    assert summary(report).startswith("smoke passed" if passed else "smoke FAILED")


def test_summary_gives_reasons_and_what_is_left_or_kept() -> None:
    report = _report(State.PASSED, State.FAILED, State.NOT_RUN, left_over=("model m: why",))
    report.kept, report.created = True, {"run_id": "r1", "model_name": ""}
    assert summary(report).splitlines() == [
        "smoke FAILED against http://x: 3 steps, 1 failed, 1 not run, 2.5 s",
        "  s1: d1",
        "  left over: model m: why",
        "  kept: run_id r1",
    ]
    assert json.loads(json.dumps(document(report)))["steps"][2] == {
        "name": "s2",
        "state": "not run",
        "seconds": 1,
        "detail": "d2",
    }


def test_lines() -> None:
    assert line(Outcome(name="a", state=State.PASSED, seconds=1.234, detail="x"), 4) == "ok    a       1.23 s  x"
    assert line(Outcome(name="a", state=State.FAILED, seconds=10, detail="x"), 4) == "FAIL  a      10.00 s  x"
    assert line(Outcome(name="a", state=State.NOT_RUN, detail="needs b"), 4) == "--    a               not run: needs b"
    assert line(Outcome(name="a", state=State.PASSED), 4) == "ok    a       0.00 s"


@given(st.text(), st.integers(min_value=12, max_value=200))
def test_shortened_keeps_to_its_length(text: str, longest: int) -> None:
    short = shortened(text, longest)
    assert len(short) <= longest
    assert (short == text) == (len(text) <= longest) or " … " in text


def test_expectations_and_descriptions() -> None:
    expect("a", 1, 1)
    with pytest.raises(UnexpectedError, match="a: found 1, expected 2") as caught:
        expect("a", 1, 2)
    assert describe(caught.value) == "a: found 1, expected 2"
    assert describe(ValueError("two\n lines")) == "ValueError: two lines"
    assert describe(TimeoutError()) == "TimeoutError"
    assert len(describe(ValueError("x" * 5000))) == LONGEST_REASON


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not an http or https address"),
        ("localhost:5000", "is not an http or https address"),
        ("ftp://localhost", "is not an http or https address"),
        ("http://", "is not an http or https address"),
        ("http://a b", "is not an http or https address"),
        ("http://localhost:99999", "is not valid"),
        ("http://localhost:abc", "is not valid"),
        ("http://[::1", "is not valid"),
        ("http://localhost/#/experiments/1", "query or fragment"),
        ("http://localhost/?a=b", "query or fragment"),
    ],
)
def test_urls_that_are_refused(text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=message):
        parse_url(text)
    environment = dict(os.environ)
    assert run(["smoke", text]) == ExitCode.USAGE
    assert message in capsys.readouterr().err
    assert dict(os.environ) == environment


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        parse_url("https://me:hidden@localhost")
    assert "hidden" not in str(caught.value)
    assert "MLFLOW_TRACKING_PASSWORD" in str(caught.value)


@given(st.sampled_from(["http", "https"]), st.from_regex(r"[a-z][a-z0-9]{0,20}", fullmatch=True), st.integers(1, 65535))
def test_urls_lose_their_last_slash_only(scheme: str, host: str, port: int) -> None:
    assert parse_url(f"{scheme}://{host}:{port}/") == f"{scheme}://{host}:{port}"
    assert parse_url(f"{scheme}://{host}:{port}/mlflow") == f"{scheme}://{host}:{port}/mlflow"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--large-mib", "0", "greater than or equal to 1"),
        ("--large-mib", "1.5", "valid integer"),
        ("--large-mib", "10241", "less than or equal to 10240"),
        ("--timeout", "soon", "valid number"),
        ("--timeout", "nan", "equal to"),
        ("--timeout", "0", "greater than or equal to 1"),
        ("--ca-bundle", "/nowhere/ca.pem", "does not exist"),
    ],
)
def test_options_that_are_refused(option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["smoke", "http://localhost", option, value]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert f"Invalid value for '{option}'" in said
    assert message in said


def test_without_a_url_it_is_the_local_stack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["smoke", "--config-file", str(tmp_path / "none.yaml")]) == ExitCode.USAGE
    assert "none.yaml is not a file" in capsys.readouterr().err


@given(st.dictionaries(st.from_regex(r"(_?MLFLOW_|OTEL_)[A-Z_]{1,20}", fullmatch=True), st.text()))
def test_only_credentials_of_the_user_reach_the_client(inherited: dict[str, str]) -> None:
    bare = client_environment({}, request_seconds=7, ca_bundle=None)
    made = client_environment(inherited | {"HOME": "/h"}, request_seconds=7, ca_bundle=None)
    kept = {name: value for name, value in inherited.items() if name in CREDENTIALS}
    assert made == bare | kept | {"HOME": "/h"}
    assert bare["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert bare["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_credentials_stay_and_a_given_bundle_wins() -> None:
    inherited = dict.fromkeys(CREDENTIALS, "true") | {"REQUESTS_CA_BUNDLE": "/theirs"}
    assert inherited.items() <= client_environment(inherited, request_seconds=1, ca_bundle=None).items()
    assert verification(inherited) is False
    made = client_environment(inherited, request_seconds=1, ca_bundle=Path("/given.pem"))
    assert made["REQUESTS_CA_BUNDLE"] == "/given.pem"
    assert verification(made) is True
    assert verification({"MLFLOW_TRACKING_SERVER_CERT_PATH": "/mine.pem"}) == "/mine.pem"


def test_time_is_up_even_if_the_stop_is_swallowed_once() -> None:
    with Limits() as limits:
        limits.watch(0.05, interruptible=True)
        with pytest.raises(StopRequested):
            time.sleep(30)
        with pytest.raises(StopRequested, match=r"^time-out: not done after 0\.05 s$"):
            time.sleep(30)
        limits.release()


def test_signals_stop_only_what_may_be_interrupted() -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    with Limits() as limits:
        os.kill(os.getpid(), signal.SIGINT)
        limits.watch(30, interruptible=False)
        os.kill(os.getpid(), signal.SIGTERM)
        limits.watch(30, interruptible=True)
        with pytest.raises(StopRequested, match="interrupted by SIGTERM"):
            os.kill(os.getpid(), signal.SIGTERM)
        limits.release()
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)] == handlers


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Limits() as limits:
            limits.watch(30, interruptible=True)
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_cleaning_goes_on_after_a_failure_and_says_what_time_did_not_allow(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    done: list[str] = []

    def broken(_: Bench) -> None:
        raise UnexpectedError("may not")

    def endless(_: Bench) -> None:
        time.sleep(30)

    actions = {"a": broken, "b": lambda _: done.append("b"), "c": endless, "d": endless}
    table = [
        cleaning._Cleaning(what=lambda _, name=name: name, action=action)  # type: ignore[misc]
        for name, action in actions.items()
    ]
    monkeypatch.setattr(cleaning, "CLEANINGS", table)
    bench = Bench(url="http://127.0.0.1:9", identity="x", scratch=tmp_path, large_mib=1)
    with Limits() as limits:
        limits.watch(0.2, interruptible=False)
        left_over = cleaning.clean(bench)
        limits.release()
    assert done == ["b"]
    reason = "time-out: not done after 0.2 s"
    assert left_over == ["a: may not", f"c: {reason}", f"d: {reason}"]
