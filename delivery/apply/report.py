"""How an `up` with an approved plan ended, for a person, a job's summary or a program."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Final, TextIO

from delivery.apply.applying import Ended, Refused
from delivery.apply.approval import Approval
from delivery.apply.difference import listed
from delivery.apply.record import SmokeResult
from delivery.outcome import ExitCode
from delivery.preview.document import document as preview
from delivery.preview.inline import rendered
from delivery.preview.markdown import Form, markdown
from delivery.preview.reasons import Verdict
from delivery.preview.terminal import show as show_report
from delivery.preview.text import Code, Phrase, Strong, count, plain
from delivery.preview.text import listed as names

VERSION: Final = 1
"""Of the document's shape; it rises when a key changes its meaning or goes away."""

LISTED: Final = 20
"""Differences that a person is shown; the document has all."""

SHOWN: Final = 4
"""The same of resources that a failed update did not reach."""


def exit_code(found: Refused | Ended) -> ExitCode:
    """Failed where the plan was not applied, and where the stack does not pass the smoke program."""
    passed = isinstance(found, Ended) and found.succeeded and not _smoke_failed(found)
    return ExitCode.DONE if passed else ExitCode.FAILED


def document(approved: Approval, found: Refused | Ended) -> dict[str, Any]:
    """All of it as one JSON document."""
    now = found.now
    common = {"version": VERSION, "stack": now.stack, "result": _result(found), "approved": approved.plan}
    common |= {"plan": now.plan or None, "reason": plain(_headline(found)), "next": plain(_next(found))}
    if isinstance(found, Refused):
        differences = [plain(one.what) for one in found.differences]
        return {**common, "differences": differences, "cause": plain(found.cause) or None, "preview": preview(now)}
    smoke = {"result": found.smoke.result.value, "reason": found.smoke.reason or None}
    after = {"notReached": list(found.unreached), "interrupted": found.interrupted}
    return {**common, "record": found.record.document(), "smoke": smoke, **after, "preview": preview(now)}


def stopped(stack: str, approved: Approval, reason: str) -> dict[str, Any]:
    """The document of an `up` that had to stop before there was a plan to compare."""
    return {"version": VERSION, "stack": stack, "result": "not applied", "reason": reason, "approved": approved.plan}


def summary(approved: Approval, found: Refused | Ended) -> str:
    """Markdown for a job's summary: how it ended, and the report of the plan below a refusal."""
    lines = [f"### {rendered([Code(found.now.stack)])} · {_result(found)}: {rendered(_headline(found))}", ""]
    lines += [rendered(_counts(approved, found)), ""]
    if isinstance(found, Refused) and found.differences:
        lines += ["| difference | cause |", "|---|---|"]
        for number, what in enumerate(listed(found.differences, LISTED)):
            cause = rendered(found.cause, table=True) if number == 0 else ""
            lines.append(f"| {rendered(what, table=True)} | {cause} |")
        lines.append("")
    elif isinstance(found, Refused) and found.cause:
        lines += [f"Cause: {rendered(found.cause)}.", ""]
    lines += [rendered(_next(found)), ""]
    if isinstance(found, Refused):
        lines.append(markdown(found.now, Form.SUMMARY))
    return "\n".join(lines)


def show(approved: Approval, found: Refused | Ended, stream: TextIO | None = None) -> None:
    """Print the same for a person: below a refusal, what the plan does now."""
    stream = stream or sys.stdout
    if isinstance(found, Refused):
        show_report(found.now, stream=stream)
        print(file=stream)
    for line in _lines(approved, found):
        print(line, file=stream)
    stream.flush()


def _lines(approved: Approval, found: Refused | Ended) -> Iterator[str]:
    yield f"{found.now.stack}: {_result(found)}: {plain(_headline(found))}"
    yield f"  {plain(_counts(approved, found))}"
    if isinstance(found, Refused):
        yield from (f"  - {plain(what)}" for what in listed(found.differences, LISTED))
        if found.cause:
            yield f"  cause: {plain(found.cause)}"
    yield f"  {plain(_next(found))}"


def _result(found: Refused | Ended) -> str:
    if isinstance(found, Refused):
        return "not applied"
    return "applied" if found.succeeded else "failed"


def _headline(found: Refused | Ended) -> Phrase:
    if isinstance(found, Refused):
        return found.reason
    if not found.succeeded:
        return [f"`pulumi up` ended with exit code {found.code}"]
    reason: Phrase = [" (", Code(found.smoke.reason), ")"] if found.smoke.reason else []
    return [f"smoke {found.smoke.result}", *reason]


def _counts(approved: Approval, found: Refused | Ended) -> Phrase:
    """Which plan it is about: `Approved: a, 10 changes. Now: b, 11 changes.`"""
    now = found.now
    changes = count(sum(now.counts.values()), "change")
    if isinstance(found, Ended):
        record = found.record
        return ["Plan ", Code(now.plan), f", {changes}, of commit ", Code(record.commit), " by ", Code(record.who), "."]
    known = f", {count(len(approved.parts), 'change')}" if approved.parts else ""
    plan: Phrase = [Code(now.plan), f", {changes}"] if now.plan else ["none"]
    return ["Approved: ", Code(approved.plan), f"{known}. Now: ", *plan, ". ", Strong("Nothing was changed on Azure.")]


def _after_failure(found: Ended) -> Phrase:
    """What is done and what is not, and the command to go on with."""
    stack, number = found.now.stack, len(found.unreached)
    rest: Phrase = []
    if number:
        stay = "is as it was" if number == 1 else "are as they were"
        rest = [f" It did not reach {count(number, 'resource')}, which {stay}: "]
        rest = [*rest, *names(found.unreached, most=SHOWN), "."]
    if found.interrupted:
        go_on: Phrase = [" Bring the stack back first. Run: ", Code(f"mlflow-platform recover {stack}")]
    else:
        go_on = [
            " Solve what the engine says, then look at what is left. Run: ",
            Code(f"mlflow-platform preview {stack}"),
        ]
    return ["What came before the failure is done.", *rest, *go_on]


def _next(found: Refused | Ended) -> Phrase:
    stack = found.now.stack
    if isinstance(found, Ended):
        if not found.succeeded:
            return _after_failure(found)
        if _smoke_failed(found):
            again = f'mlflow-platform smoke "$(pulumi stack output url -s {stack})"'
            return ["The stack is updated, and a user's day fails on it. Run: ", Code(again)]
        return ["Nothing is to be done."]
    if found.now.verdict >= Verdict.REFUSED:
        return [found.now.next]
    return [
        "Look at the plan as it is now and have it approved. Run: ",
        Code(f"mlflow-platform preview {stack}"),
        ", then ",
        Code(f"mlflow-platform up {stack} --approved {found.now.plan}"),
    ]


def _smoke_failed(found: Ended) -> bool:
    return found.smoke.result is SmokeResult.FAILED
