"""Nothing of a team is read, changed or referred to by another one, by any route and any id."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from psycopg2 import sql

from mlflow_runtime.middleware.access.roles import Role
from tests.runtime.access import things
from tests.runtime.access.probing import Probe, probes
from tests.runtime.access.teams import Member, Teams
from tests.runtime.access.things import Things
from tests.support.answer import Answer

MARKER = "only-for-{}-0f2a"
Rows = Counter[tuple[str, str]]

TEXTS = {
    "tracking.datasets": ("dataset_source",),
    "tracking.assessments": ("assessment_metadata", "run_id"),
    "tracking.trace_request_metadata": ("value",),
    "tracking.trace_tags": ("value",),
}
"""Columns of what a caller says about an own thing: MLflow follows none of them to another one."""

_TABLES = "select table_name from information_schema.tables where table_schema = 'public' order by 1"


def rows(teams: Teams) -> Rows:
    """Every row of both databases, with the name of its table."""
    found: Rows = Counter()
    for database in ("tracking", "registry"):
        with teams.platform.plane.superuser(database) as cursor:
            cursor.execute(_TABLES)
            for (table,) in cursor.fetchall():
                cursor.execute(sql.SQL("select to_jsonb(t)::text from {} t").format(sql.Identifier(table)))
                found.update((f"{database}.{table}", str(row[0])) for row in cursor.fetchall())
    return found


def files(teams: Teams, team: str) -> set[tuple[str, str]]:
    """Every artifact of a team, with what changes when it does."""
    found = teams.platform.blob_container().list_blobs(name_starts_with=f"workspaces/{team}/")
    return {(blob.name, str(blob.etag)) for blob in found}


def sent(member: Member, asked: Iterable[Probe]) -> list[tuple[Probe, Answer]]:
    return [(probe, member.send(probe.path, probe.body, method=probe.operation.method)) for probe in asked]


def ties(changed: Rows, theirs: Things) -> list[str]:
    """The rows that name an id of another team's thing. A name is each team's own, and a text leads nowhere."""
    wanted = re.compile("|".join(sorted({re.escape(value) for name, value in theirs.ids.items() if name != "name"})))
    return sorted(f"{table}: {row}" for table, row in changed if wanted.search(_without_texts(table, row)))


def _without_texts(table: str, row: str) -> str:
    return json.dumps({name: value for name, value in json.loads(row).items() if name not in TEXTS.get(table, ())})


def spans(member: Member, trace: str, experiment: str) -> Answer:
    """Send a span of a trace as OpenTelemetry does."""
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = bytes.fromhex(trace.removeprefix("tr-")), os.urandom(8), "s"
    span.start_time_unix_nano, span.end_time_unix_nano = 10**18, 10**18 + 1
    headers = {"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": experiment}
    return member.send("/v1/traces", request.SerializeToString(), headers=headers)


def test_a_team_reads_changes_and_names_nothing_of_another(teams: Teams) -> None:
    own, other = (Member(teams, team, Role.ADMIN) for team in ("team-a", "team-b"))
    theirs = things.make(other, MARKER.format("b"))
    mine = things.make(own, MARKER.format("a"))
    before, kept = rows(teams), files(teams, "team-b")

    answers = sent(own, probes(mine.ids, theirs.ids))
    for experiment in (mine, theirs):
        spans(own, theirs.ids["trace_id"], experiment.ids["experiment_id"])
    spans(own, mine.ids["trace_id"], theirs.ids["experiment_id"])

    after = rows(teams)
    assert len(answers) > 500
    read = [(str(probe), answer.content[:200]) for probe, answer in answers if theirs.shown_in(answer.content)]
    lost = [row for row in before - after if theirs.marker in row[1] or ties(Counter([row]), theirs)]
    assert read == []
    assert lost == []
    assert ties(after - before, theirs) == []
    assert files(teams, "team-b") == kept

    assert spans(other, theirs.ids["trace_id"], theirs.ids["experiment_id"]).status == 200

    # The same requests by who may: they read, and they change.
    allowed = sent(other, probes(theirs.ids, theirs.ids))
    served = {str(probe.operation) for probe, answer in allowed if answer.status == 200}
    shown = {str(probe.operation) for probe, answer in allowed if theirs.shown_in(answer.content)}
    assert len(served) > 170
    assert len(shown) > 44
    assert sum((after - rows(teams)).values()) > 20
