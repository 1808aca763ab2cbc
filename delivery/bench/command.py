"""`mlflow-platform bench`: how this platform compares with stock MLflow on this machine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from components.compute.local.supervisor import SupervisorError
from delivery.bench import plan, report, running, soak_report, soaking
from delivery.bench.clock import Clock, minutes
from delivery.bench.soak import aims
from delivery.outcome import CommandError, ExitCode, reported
from delivery.terminal import say
from tools.steps import ToolError


def bench(
    output: Annotated[
        Path | None, typer.Option(help="Folder for tables.md, results.json and the plots.", show_default="none")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Less of everything, in less than four minutes.")] = False,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Only this one; can be given again: {', '.join([*plan.SCENARIOS, plan.SCALING])}.", show_default="all"
        ),
    ] = None,
    soak: Annotated[
        float | None,
        typer.Option(
            help="Instead, minutes of logging at 60 % of what a stack carries, while its replicas are killed.",
            min=3,
            max=60,
            show_default="none",
        ),
    ] = None,
) -> int:
    """Load MLflow and this platform side by side, and compare them.

    What the servers acknowledged and what they stored is counted, and values are compared for a sample of runs.
    Everything runs on 127.0.0.1, in a folder and on ports of its own, and is removed at the end and on Ctrl-C. It fails
    if anything was lost, altered or stored twice.

    With --soak it is a stack of its own alone, of which everything is compared, memory and connections too. It fails
    unless every aim is reached.

    Example: mlflow-platform bench --quick
    """
    if output is not None and output.exists() and not output.is_dir():
        raise CommandError(f"--output: got {output}, which is a file; expected a folder.", ExitCode.USAGE)
    if soak is not None:
        if quick or scenario:
            raise CommandError(
                "--soak: got --quick or --scenario beside it; expected it alone. Run: mlflow-platform bench --soak 20",
                ExitCode.USAGE,
            )
        return _soak(soak, output)
    chosen = plan.quick() if quick else plan.whole()
    if scenario:
        with reported(ValueError, code=ExitCode.USAGE):
            chosen = plan.only(chosen, scenario)
    say(f"It ends after {minutes(chosen.limit_seconds)}; what there is no time for is left out and named.")
    with reported(ToolError, SupervisorError):
        outcome = running.run(chosen, _timed())
    _show(report.files(outcome), report.TABLES, output)
    if not outcome.measurements and not outcome.carried:
        raise CommandError(
            f"bench: nothing was measured: {'; '.join(outcome.left_out)}. Wait until the machine is quiet, or leave "
            "--quick out."
        )
    if outcome.lost or outcome.twice or outcome.altered:
        raise CommandError(
            f"bench: {outcome.lost:,} of what was acknowledged was not stored, {outcome.twice:,} was stored "
            f"twice, and {outcome.altered:,} of the values that were compared are other ones. `lost`, "
            "`twice` and `altered` in the results.json of --output say where."
        )
    return ExitCode.DONE


def _soak(minutes: float, output: Path | None) -> int:
    with reported(ToolError, SupervisorError):
        found = soaking.run(minutes, _timed())
    _show(soak_report.files(found), soak_report.TABLES, output)
    missed = [f"{one.aim} ({one.figure})" for one in aims(found) if not one.reached]
    if missed:
        raise CommandError(
            f"bench: the soak did not reach: {'; '.join(missed)}. The soak.md and soak.json of --output show when. "
            "What is lost, altered or stored twice is a fault; for the others soak again first, on a quiet machine."
        )
    return ExitCode.DONE


def _show(files: Mapping[str, str], tables: str, output: Path | None) -> None:
    """Write the files into a folder; without one print the tables alone."""
    if output is None:
        say(f"\n{files[tables]}")
    else:
        say("Wrote " + ", ".join(str(file) for file in report.write(files, output)))


def _timed() -> Callable[[str], None]:
    """Print lines, each with the time since now."""
    clock = Clock(limit=math.inf)
    return lambda line: say(f"{int(clock.passed) // 60}:{int(clock.passed) % 60:02d} {line}")
