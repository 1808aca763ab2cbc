"""The dashboard of a running stack: the page draws what the processes show, and the logs hold what Azure is asked.

The picture is left in `test-output/ui`.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from components.mlflow.observability.panels import PANELS
from components.mlflow.roles import BACKENDS, SERVICES
from delivery.cost import monitoring
from delivery.local.configuration import REPOSITORY
from tests.end_to_end.local.test_ui import PICTURES
from tests.support import warm
from tests.support.browser import Browser, browser, chromium
from tests.support.command_line import mlflow_platform
from tests.support.local_stack import RunningStack, eventually

STARTS_SECONDS = 60
DRAWN_SECONDS = 60
LINE_SECONDS = 120  # twice the time between two lines of metrics
# Those that have something to draw after a run of the smoke program on a stack in which nothing fails.
DRAWN = frozenset(panel.name for panel in PANELS) - {"tokens-refused", "blob-failures", "connection-waits"}
# Of some panels, those on whose canvas so many points have one of the colours of lines, not the grey of axes and grid.
COLOURED = """
([names, wanted]) => names.filter((name) => {
  const canvas = document.querySelector(`#panel-${name} canvas`);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let at = 0; at < data.length && found < wanted; at += 4) {
    const [red, green, blue] = [data[at], data[at + 1], data[at + 2]];
    if (data[at + 3] > 200 && Math.max(red, green, blue) - Math.min(red, green, blue) > 60) found += 1;
  }
  return found === wanted;
})
"""
WITH_LINES = """
(names) => names.filter((name) => Number(document.getElementById(`panel-${name}`).dataset.lines) > 0)
"""
LINE_POINTS = 10  # of one point alone


def command(stack: RunningStack, *arguments: str) -> list[str]:
    """The dashboard's command line, for this stack."""
    return mlflow_platform("dashboard", "--config-file", str(stack.config_file), *arguments)


@pytest.fixture(scope="module")
def dashboard(shared_stack: RunningStack) -> Iterator[str]:
    """The address of a dashboard. It ends at Ctrl-C, with nothing to complain of."""
    eventually(shared_stack.healthy, what="the stack's health before the dashboard")
    process = subprocess.Popen(
        command(shared_stack),
        cwd=REPOSITORY,
        env=os.environ | warm.COLD,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip().rpartition(" ")[2]
    finally:
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=STARTS_SECONDS)
    assert process.returncode == 0
    assert "Traceback" not in complaints


@pytest.fixture(scope="module")
def worked(shared_stack: RunningStack, dashboard: str) -> RunningStack:
    """The stack, after a run of the smoke program that the dashboard saw."""
    shared_stack.smoke("--quick")
    return shared_stack


@pytest.fixture
def opened(dashboard: str) -> Iterator[Browser]:
    with browser(dashboard, PICTURES) as running:
        yield running


def test_it_is_beside_the_stacks_own_ports(dashboard: str, shared_stack: RunningStack) -> None:
    assert int(dashboard.rpartition(":")[2]) in range(shared_stack.local.port + 6, shared_stack.local.port + 10)


@pytest.mark.skipif(chromium() is None, reason="no `chromium` on PATH: install it (Debian: apt-get install chromium)")
def test_the_page_draws_what_the_stack_does(worked: RunningStack, opened: Browser) -> None:
    with opened.tab() as (page, traffic):
        page.goto(f"{opened.url}/")
        try:
            eventually(lambda: undrawn(page) == set(), seconds=DRAWN_SECONDS, what="all panels with data")
        finally:
            page.screenshot(path=PICTURES / "dashboard.png", full_page=True)
        assert page.locator("section").count() == len(PANELS)
        assert {"tracking", "tracking-2", "registry", "artifacts", "gateway"} <= set(
            page.locator("#state").inner_text().partition(": ")[2].split(", ")
        )
        legend = page.locator("#panel-replicas .u-legend").inner_text()
        assert [line for line in legend.splitlines() if line.strip("-: ")] != []
        assert traffic.problems() == []


def undrawn(page: Page) -> set[str]:
    """The panels that should have lines and have none yet."""
    page.wait_for_timeout(500)
    if page.locator("section").count() < len(PANELS):
        return set(DRAWN)
    return set(DRAWN) - coloured(page, page.evaluate(WITH_LINES, sorted(DRAWN)))


def coloured(page: Page, panels: Sequence[str]) -> set[str]:
    """Those of the panels whose canvas has a line on it."""
    return set(page.evaluate(COLOURED, [panels, LINE_POINTS]))


def test_a_panel_without_data_has_no_line_on_its_canvas(worked: RunningStack, opened: Browser) -> None:
    """The look at the canvas can say no. The line of an alert is not data, so it is taken off."""
    with opened.tab() as (page, _):
        page.route("**/data.json", lambda route: route.fulfill(json=without_lines(route.fetch().json())))
        page.goto(f"{opened.url}/")
        eventually(lambda: page.locator("canvas").count() == len(PANELS), what="empty panels")
        assert undrawn(page) == DRAWN
        assert coloured(page, sorted(DRAWN)) == set()


def without_lines(document: Any) -> Any:
    return {**document, "panels": [{**panel, "lines": {}, "above": None} for panel in document["panels"]]}


def test_the_present_values_come_as_a_document(worked: RunningStack) -> None:
    done = subprocess.run(
        command(worked, "--json"), cwd=REPOSITORY, capture_output=True, text=True, timeout=STARTS_SECONDS, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    lines = {panel["name"]: panel["lines"] for panel in document["panels"]}
    assert lines["replicas"] == {**{role.value: 1 for role in BACKENDS}, "tracking": 2}
    assert set(document["replicas"]) == {*SERVICES, "tracking-2"}
    assert lines["memory"]["tracking"] > 50 * 2**20
    assert 0 <= lines["connections-used"]["tracking tracking"] <= 100


def test_the_lines_that_a_month_is_estimated_from_are_as_long_as_real_ones(worked: RunningStack) -> None:
    logs = worked.local.layout.logs
    gateway = lengths(logs, ["gateway"], '"logger":"http.log.access"')
    requests = lengths(logs, BACKENDS, '"logger": "mlflow_runtime.request"')
    eventually(lambda: bool(metrics(logs)), seconds=LINE_SECONDS, what="a line of metrics")
    for found, assumed in (
        (gateway, monitoring.GATEWAY_REQUEST_BYTES),
        (requests, monitoring.SERVICE_REQUEST_BYTES),
        (metrics(logs), monitoring.METRICS_BYTES),
    ):
        # A line of metrics has 1,400 bytes of an idle replica and 2,400 of one that just started.
        assert 0.6 * assumed < statistics.mean(found) < 1.5 * assumed


def metrics(logs: Path) -> list[int]:
    """The lengths of lines of metrics of replicas with databases, whose lines are the longest."""
    return lengths(logs, ["tracking", "registry"], '"logger": "mlflow_runtime.metrics"')


def lengths(logs: Path, services: Sequence[str], mark: str) -> list[int]:
    """How many bytes the lines with a mark have, in the logs of some services."""
    lines = [line for name in services for line in (logs / f"{name}.log").read_bytes().splitlines(keepends=True)]
    return [len(line) for line in lines if mark.encode() in line]
