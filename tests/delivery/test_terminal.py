"""What the agent of a workflow or pipeline hears of a command: nothing that others have written."""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping

import pytest
from rich.console import Console

from delivery.terminal import command, guard, say

AZURE = "tags.owner: 'evil ##vso[task.setvariable variable=PATH]/tmp'"


def guarded(environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is written to stdout from now on."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    guard(environ)
    return stream


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        (AZURE, "tags.owner: 'evil # #vso[task.setvariable variable=PATH]/tmp'"),
        ("##VSO[task.complete]", "# #VSO[task.complete]"),
        ("##[error]a", "# #[error]a"),
        ("::set-output name=plan::0", ": :set-output name=plan::0"),
        ("first\n   ::error::a", "first\n   : :error::a"),
        ("module::name, ## title", "module::name, ## title"),
    ],
)
@pytest.mark.parametrize("of", ["GITHUB_ACTIONS", "TF_BUILD"])
def test_no_text_is_a_command_of_the_agent(text: str, heard: str, of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out = guarded({of: "True"}, monkeypatch)
    say(text)
    sys.stdout.writelines([text, "\n"])
    Console(file=sys.stdout, width=200, highlight=False).print(text, markup=False)
    assert out.getvalue() == f"{heard}\n" * 3


def test_no_text_behind_a_carriage_return_is_a_command_of_the_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    out = guarded({"GITHUB_ACTIONS": "true"}, monkeypatch)
    say("first\r::error::a\r\n ::error::b")
    assert out.getvalue() == "first\r: :error::a\r\n : :error::b\n"


def test_a_command_of_the_product_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    out = guarded({"TF_BUILD": "True"}, monkeypatch)
    command("##vso[task.setvariable variable=plan]0")
    assert out.getvalue() == "##vso[task.setvariable variable=plan]0\n"


def test_a_persons_terminal_shows_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    out = guarded({}, monkeypatch)
    say(AZURE)
    command("::notice::a")
    assert out.getvalue() == f"{AZURE}\n::notice::a\n"
