"""Tests are grouped, ordered and held to their budgets by one table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import schedule

SECONDS = {"tests": 1000, "tests/tools": 30, "tests/tools/test_a.py": 90, "tests/infra/*": 60, "lint and types": 5}
REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_line_is_seconds_and_a_name() -> None:
    assert schedule.budgets("# why\n\n90 lint and types\n5 tests/a/*\n") == {"lint and types": 90, "tests/a/*": 5}


@pytest.mark.parametrize("line", ["lint 5", "5", "-1 lint", "5 lint\n6 lint"])
def test_another_line_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(ValueError, match=r"\.ci/budgets: got line \d+"):
        schedule.budgets(line)


@pytest.mark.parametrize(
    ("file", "group", "seconds"),
    [
        ("tests/tools/test_a.py", "tests/tools/test_a.py", 90),
        ("tests/tools/test_b.py", "tests/tools", 30),
        ("tests/tools_too/test_b.py", "tests/tools_too/test_b.py", float("inf")),
        ("tests/infra/deep/test_c.py", "tests/infra/deep/test_c.py", 60),
    ],
)
def test_the_deepest_line_decides(file: str, group: str, seconds: float) -> None:
    assert schedule.group(file, SECONDS) == group
    assert schedule.budget(group, SECONDS) == seconds


def test_the_longest_start_first_and_the_unknown_last() -> None:
    lines = {"tests/a": 1, "tests/b/*": 3}
    groups = ["tests/x.py", "tests/a", "tests/w.py", "tests/b/one.py", "tests/a"]
    assert schedule.order(groups, lines) == ["tests/b/one.py", "tests/a", "tests/x.py", "tests/w.py"]


def test_a_group_that_outgrows_its_budget_is_named() -> None:
    durations = [("tests/tools/test_b.py", 20.0), ("tests/tools/test_c.py", 11.0), ("tests/infra/test_d.py", 60.0)]
    (sentence,) = schedule.outgrown(schedule.spent(durations, SECONDS), SECONDS)
    assert sentence == "tests/tools: took 31 s; expected at most 30 s, see .ci/budgets"


def test_every_path_of_both_tables_is_there() -> None:
    lines = schedule.budgets(schedule.BUDGETS.read_text())
    paths = [*schedule.STARTS_PROCESSES, *(name for name in lines if name.startswith("tests/"))]
    assert [path for path in paths if not (REPOSITORY / path.removesuffix(schedule.EACH_FILE)).exists()] == []
