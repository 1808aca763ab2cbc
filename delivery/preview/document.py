"""A report as one JSON document, for programs."""

from __future__ import annotations

from typing import Any, Final

from delivery.preview.reasons import Fixed, Reason, Row
from delivery.preview.report import Beside, Report
from delivery.preview.text import plain

VERSION: Final = 1
"""Of the document's shape; it rises when a key changes its meaning or goes away."""


def document(report: Report) -> dict[str, Any]:
    """The whole report: every phrase as plain text."""
    return {
        "version": VERSION,
        "stack": report.stack,
        "verdict": report.verdict.words,
        "title": plain(report.title),
        "next": report.next,
        "plan": report.plan or None,
        "reasons": [_reason(one) for one in report.reasons],
        "fixedOnceCreated": [_fixed(one) for one in report.fixed],
        "rows": [_row(one) for one in report.rows],
        "unchanged": plain(report.unchanged),
        "gates": plain(report.gates) or None,
        "changes": [{"resources": list(one.names), "change": plain(one.what)} for one in report.changes],
        "beside": _beside(report.beside),
        "counts": dict(report.counts),
        "resources": report.resources,
        "unknowns": report.unknowns,
        "awaiting": report.awaiting,
        "source": {
            "head": report.source.head or None,
            "base": report.source.base or None,
            "against": report.source.against or None,
            "engine": report.source.engine or None,
            "offline": report.source.offline,
        },
        "parts": dict(report.parts),
    }


def _beside(found: Beside | None) -> dict[str, Any] | None:
    """Return what differs on Azure already, None where nobody looked."""
    if found is None:
        return None
    return {
        "lines": [plain(line) for line in found.lines],
        "blocking": list(found.blocking),
        "error": found.error or None,
    }


def _reason(reason: Reason) -> dict[str, Any]:
    return {
        "subject": reason.subject.value,
        "verdict": reason.verdict.words,
        "headline": reason.headline,
        "text": plain(reason.phrase),
        "remedy": reason.remedy or None,
        "resource": reason.urn.rpartition("::")[2] or None,
    }


def _fixed(one: Fixed) -> dict[str, Any]:
    return {"setting": plain([one.setting]), "value": plain(one.value), "later": plain(one.later)}


def _row(row: Row) -> dict[str, Any]:
    return {"subject": row.subject.value, "what": plain([row.what]), "now": plain(row.now), "after": plain(row.after)}
