"""`mlflow-platform dashboard`: the local stack's metrics as charts."""

from __future__ import annotations

import json
import time
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Annotated

import typer

from delivery.dashboard import document
from delivery.dashboard.scraping import EVERY_SECONDS, History, Scraper, scrape, targets
from delivery.dashboard.server import serve
from delivery.local.configuration import CONFIG_FILE, LocalStack
from delivery.local.options import ConfigFile, read
from delivery.outcome import CommandError, ExitCode, reported
from delivery.terminal import say
from infra.settings.ports import OFFSETS, LocalPort
from tools import node_packages
from tools.steps import Report, ToolError


def dashboard(
    port: Annotated[
        int | None,
        typer.Option(
            help="Port of the page.",
            min=1,
            max=65535,
            show_default=f"a free one from portBase + {OFFSETS[LocalPort.DASHBOARD].start} on",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the present values as JSON and end.")] = False,
    config_file: ConfigFile = CONFIG_FILE,
) -> int:
    """Show the local stack's metrics as charts, until Ctrl-C.

    The page is on 127.0.0.1. It reads each process's /metrics every few seconds, keeps half an hour in memory and
    changes nothing. It fails if the stack is not up, or if what draws the charts cannot be installed.

    Example: mlflow-platform dashboard --port 8080
    """
    stack = read(config_file)
    if not scrape(targets(stack)):
        raise CommandError(f"No process of the stack in {stack.root} shows metrics; `make up` brings it up.")
    if as_json:
        return _print_present(stack)
    try:
        with reported(ToolError):
            return _show(stack, port)
    except (KeyboardInterrupt, SystemExit):
        return ExitCode.DONE  # the way to end it


def _print_present(stack: LocalStack) -> int:
    """Rates are of the seconds between two scrapes."""
    history, begun = History(), time.time()
    history.add(begun, scrape(targets(stack)))
    time.sleep(EVERY_SECONDS)
    ended = time.time()
    history.add(ended, scrape(targets(stack)))
    readings = [reading for reading in history.readings() if reading.at == ended]
    say(json.dumps(document.present(readings, seconds=ended - begun), indent=2))
    return ExitCode.DONE


def _show(stack: LocalStack, port: int | None) -> int:
    charts = node_packages.charts(Report("dashboard"))
    history = History()
    try:
        server = _listening(stack, history, charts, port)
    except OSError as error:
        raise CommandError(
            f"--port: {port} cannot be used ({error.strerror}); give another, or leave the option out.", ExitCode.USAGE
        ) from error
    scraper = Scraper(stack, history)
    with server:
        scraper.start()
        try:
            say(f"Metrics of the stack in {stack.root}: http://127.0.0.1:{server.server_address[1]}")
            say("Ctrl-C ends it.")
            server.serve_forever()
        finally:
            scraper.end()
    return ExitCode.DONE


def _listening(stack: LocalStack, history: History, charts: Path, port: int | None) -> ThreadingHTTPServer:
    if port is not None:
        return serve(history, charts, port)
    for offset in OFFSETS[LocalPort.DASHBOARD]:
        try:
            return serve(history, charts, stack.port + offset)
        except OSError:
            continue
    return serve(history, charts, 0)
