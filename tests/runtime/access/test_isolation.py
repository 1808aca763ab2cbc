"""Nothing of a team is read, changed or referred to by another one, by any route and any id."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from psycopg2 import sql

from mlflow_runtime.middleware.access.roles import Role
from tests.runtime.access import things
from tests.runtime.access.probing import Probe, probes
from tests.runtime.access.teams import Member, Teams
from tests.runtime.access.things import Things
from tests.support.answer import Answer

MARKER = "only-for-{}-0f2a"
Rows = Counter[tuple[str, str]]

_TABLES = "select table_name from information_schema.tables where table_schema = 'public' order by 1"


def rows(teams: Teams) -> Rows:
    """Every row of both databases, with the name of its table."""
    found: Rows = Counter()
    for database in ("tracking", "registry"):
        with teams.platform.plane.superuser(database) as cursor:
            cursor.execute(_TABLES)
            for (table,) in cursor.fetchall():
                cursor.execute(sql.SQL("select t::text from {} t").format(sql.Identifier(table)))
                found.update((f"{database}.{table}", str(row[0])) for row in cursor.fetchall())
    return found


def files(teams: Teams, team: str) -> set[tuple[str, str]]:
    """Every artifact of a team, with what changes when it does."""
    found = teams.platform.blob_container().list_blobs(name_starts_with=f"workspaces/{team}/")
    return {(blob.name, str(blob.etag)) for blob in found}


def sent(member: Member, asked: Iterable[Probe]) -> list[tuple[Probe, Answer]]:
    return [(probe, member.send(probe.path, probe.body, method=probe.operation.method)) for probe in asked]


def ties(changed: Rows, theirs: Things) -> list[str]:
    """The rows that name an id of another team's thing."""
    ids = {value for name, value in theirs.ids.items() if len(value) > 5}
    wanted = re.compile("|".join(sorted(map(re.escape, ids))))
    return sorted(f"{table}: {row}" for table, row in changed if wanted.search(row))


def test_a_team_reads_changes_and_names_nothing_of_another(teams: Teams) -> None:
    own, other = (Member(teams, team, Role.ADMIN) for team in ("team-a", "team-b"))
    theirs = things.make(other, MARKER.format("b"))
    mine = things.make(own, MARKER.format("a"))
    before, kept = rows(teams), files(teams, "team-b")

    answers = sent(own, probes(mine.ids, theirs.ids))

    after = rows(teams)
    assert len(answers) > 500
    read = [(str(probe), answer.content[:200]) for probe, answer in answers if theirs.marker.encode() in answer.content]
    failed = sorted({(str(probe), answer.content[:300]) for probe, answer in answers if answer.status >= 500})
    lost = [row for row in before - after if theirs.marker in row[1] or ties(Counter([row]), theirs)]
    tied = ties(after - before, theirs)
    for title, found in (("read", read), ("lost", lost), ("tied", tied), ("failed", failed)):
        print(title, len(found))
        for each in found:
            print("   ", each)
    assert read == []
    assert lost == []
    assert tied == []
    assert files(teams, "team-b") == kept

    # The same requests by who may: they read, and they change.
    allowed = sent(other, probes(theirs.ids, theirs.ids))
    served = {str(probe.operation) for probe, answer in allowed if answer.status == 200}
    shown = {str(probe.operation) for probe, answer in allowed if theirs.marker.encode() in answer.content}
    print(len(served), len(shown), sorted({str(p.operation) for p, _ in allowed} - served))
    assert len(served) > 100
    assert len(shown) > 30
    assert sum((after - rows(teams)).values()) > 20
