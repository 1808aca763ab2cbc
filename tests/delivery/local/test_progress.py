"""What a person sees while the engine works, and what a pipe gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import pytest

from delivery.local import lifecycle
from delivery.local.progress import Seen, shown
from delivery.pulumi.engine import Engine, EngineError, Result

SERVICE = "pulumi-python:dynamic/local:ProcessGroup"


def event(kind: str, name: str, op: str = "create", type_: str = SERVICE) -> dict[str, Any]:
    return {
        "sequence": 1,
        kind: {"metadata": {"op": op, "urn": f"urn:pulumi:local::p::{type_}::{name}", "type": type_}},
    }


def seen(*events: dict[str, Any]) -> tuple[int, str]:
    found = Seen()
    for one in events:
        found.take(one)
    return found.done, found.described()


def test_what_is_at_work_is_named_until_it_is_done_or_failed() -> None:
    begun = [event("resourcePreEvent", name) for name in ("tracking", "registry", "artifacts")]
    assert seen(*begun) == (0, "tracking, registry, artifacts")
    assert seen(*begun, event("resOutputsEvent", "tracking")) == (1, "registry, artifacts")
    ended = [event("resOutputsEvent", "registry"), event("resOpFailedEvent", "artifacts")]
    assert seen(*begun, *ended) == (2, "tracking")


def test_what_stays_as_it_is_counts_and_has_no_name() -> None:
    same = [event(kind, "tracking", op="same") for kind in ("resourcePreEvent", "resOutputsEvent")]
    assert seen(*same) == (1, "reading the program")


def test_the_stack_and_providers_are_no_work() -> None:
    stack = event("resourcePreEvent", "mlflow-local", type_="pulumi:pulumi:Stack")
    provider = event("resOutputsEvent", "default", type_="pulumi:providers:pulumi-python")
    assert seen(stack, provider, {"diagnosticEvent": {"message": "text"}}) == (0, "reading the program")


def test_many_names_are_cut() -> None:
    assert seen(*(event("resourcePreEvent", str(number)) for number in range(6))) == (0, "0, 1, 2, 3 and 2 more")


def test_a_terminal_shows_the_progress_and_keeps_none_of_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with shown("Bringing it up") as take:
        take(event("resOutputsEvent", "postgres"))
        take(event("resourcePreEvent", "tracking"))
    text = capsys.readouterr().out
    assert "Bringing it up: 1 resources done" in text
    assert "tracking" in text


class Stub(Engine):
    """An engine that prints a warning and what it did, and ends with the code that its folder names."""

    def follow(self, *_: str, event: Callable[[Any], None]) -> Result:
        event({})
        text = "  warning: old\n + tracking created\n"
        return Result(code=int(self.folder.name), out=text, text=text)

    def show(self, *_: str, stream: TextIO | None = None) -> int:  # noqa: ARG002 - as the engine's
        print("the engine's own lines")
        return int(self.folder.name)


@pytest.mark.parametrize(
    ("terminal", "code", "printed"),
    [
        (True, 0, ["  warning: old"]),
        (True, 255, ["  warning: old", " + tracking created"]),
        (False, 0, ["the engine's own lines"]),
        (False, 255, ["the engine's own lines"]),
    ],
)
def test_a_failure_shows_what_the_engine_printed_and_a_pipe_gets_it_always(
    terminal: bool,
    code: int,
    printed: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(lifecycle, "interactive", lambda: terminal)
    engine = Stub(folder=Path(str(code)), environment={})
    if code:
        with pytest.raises(EngineError, match="`pulumi up` failed with exit code 255; the reason is above"):
            lifecycle._follow(engine, "Bringing it up", "up", "--yes")
    else:
        lifecycle._follow(engine, "Bringing it up", "up", "--yes")
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.strip() and "Bringing" not in line] == printed
