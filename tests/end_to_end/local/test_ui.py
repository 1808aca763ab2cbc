"""MLflow's web interface in a real browser: every page shows what the smoke program made, and nothing fails.

The pictures are left in `test-output/ui`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import Any

import pytest
from playwright.sync_api import Page, Route

from delivery.local.configuration import REPOSITORY
from delivery.smoke.steps import artifacts, prompts, traces, tracking
from tests.support.browser import EXPECTED_ANSWERS, Browser, View, browser, chromium
from tests.support.local_stack import RunningStack, eventually

pytestmark = pytest.mark.skipif(
    chromium() is None, reason="no `chromium` on PATH: install it (Debian: apt-get install chromium)"
)
PICTURES = REPOSITORY / "test-output" / "ui"
PARAMETERS = tuple(tracking.PARAMETERS.items())
LATEST = tuple(tracking.metric(curve, tracking.POINTS - 1, 0) for curve in range(tracking.CURVES))
METRICS = tuple((metric.key, str(metric.value).removesuffix(".0")) for metric in LATEST)  # as JavaScript writes them
SUMMARY_LINE, NOTE_LINE = (
    artifacts.small_content(name).decode().splitlines()[0] for name in (artifacts.SUMMARY, artifacts.NOTE)
)
INPUT = json.dumps({"question": traces.QUESTION})
UNKNOWN_RUN = "0" * 32
EXPERIMENTS_API = "**/ajax-api/2.0/mlflow/experiments/search*"

# `$name` stands for what the smoke program made, see the fixture `names`.
VIEWS = (
    View("experiments", "/experiments", shows=("$experiment_name",)),
    View("experiment", "/experiments/$experiment_id", shows=("$experiment_name", "Latency"), draws=".recharts-bar"),
    View(
        "runs",
        "/experiments/$experiment_id/runs",
        clicks=(".ag-row button",),  # unfolds the run inside the run
        shows=("parent", "child", "$dataset_name", "2 matching runs"),
    ),
    View(
        "run",
        "/experiments/$experiment_id/runs/$run_id",
        shows=(
            *(f"{key}: {value}" for key, value in tracking.TAGS.items()),
            "$dataset_name",
            "$model_name",
            "Finished",
        ),
        rows=(*METRICS, *PARAMETERS),
    ),
    View(
        "metric-chart",
        "/experiments/$experiment_id/runs/$run_id/model-metrics",
        shows=("parent (curve_0)",),
        draws=".js-plotly-plot path.js-line",
    ),
    View(
        "artifact",
        f"/experiments/$experiment_id/runs/$run_id/artifacts/{artifacts.SUMMARY}",
        shows=(SUMMARY_LINE,),
    ),
    View(
        "artifact-in-folder",
        "/experiments/$experiment_id/runs/$run_id/artifacts",
        clicks=(f'text="{artifacts.FOLDER}"', f'text="{artifacts.NOTE}"'),
        shows=(NOTE_LINE,),
    ),
    View("logged-models", "/experiments/$experiment_id/models", shows=("Ready", "$model_name")),
    View(
        "logged-model",
        "/experiments/$experiment_id/models/$logged_model_id",
        shows=("$logged_model_id", "Ready", "parent"),
        rows=PARAMETERS,
    ),
    View(
        "logged-model-artifact",
        "/experiments/$experiment_id/models/$logged_model_id/artifacts",
        clicks=('text="MLmodel"',),
        shows=("python_function", "model_id: $logged_model_id"),
    ),
    View("registered-models", "/models", shows=("$model_name", "@ $model_alias")),
    View("registered-model", "/models/$model_name", shows=("$model_name", "Version 1", "@ $model_alias")),
    View(
        "model-version",
        "/models/$model_name/versions/$model_version",
        shows=("$model_name", "@ $model_alias", "Staging", "Inputs (1)", "Outputs (1)"),
    ),
    View("prompts", "/prompts", shows=("$prompt_name", "Version $prompt_version")),
    View("prompt", "/prompts/$prompt_name", shows=("$prompt_name", prompts.SECOND)),
    View("traces", "/experiments/$experiment_id/traces", shows=(INPUT, traces.ANSWER, "2 of 2")),
    View(
        "trace-by-sdk",
        "/experiments/$experiment_id/traces",
        clicks=(f"text={INPUT}",),
        shows=(*traces.SDK_SPANS, "Inputs / Outputs", traces.QUESTION, traces.ANSWER),
    ),
    View(
        "trace-by-otlp",
        "/experiments/$experiment_id/traces?selectedEvaluationId=$otlp_trace_id",
        shows=(*traces.OTLP_SPANS, *map(str, traces.OTLP_ATTRIBUTE)),
    ),
)


def filled(view: View, names: dict[str, str]) -> View:
    """The view with the names and ids of what was made."""
    return replace(
        view,
        route=Template(view.route).substitute(names),
        shows=tuple(Template(text).substitute(names) for text in view.shows),
    )


@pytest.fixture(scope="module")
def names(made: dict[str, Any]) -> dict[str, str]:
    """Names and ids of what the smoke program made, as views have them."""
    return {
        **{key: value for key, value in made.items() if isinstance(value, str)},
        "dataset_name": f"{made['experiment_name']}-measurements",
        "otlp_trace_id": made["trace_ids"][1],
    }


@pytest.fixture(scope="module")
def opened(shared_stack: RunningStack) -> Iterator[Browser]:
    """The browser."""
    with browser(shared_stack.url, PICTURES) as running:
        yield running


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_page_shows_the_data_and_nothing_fails(view: View, names: dict[str, str], opened: Browser) -> None:
    assert opened.open(filled(view, names)) == []


def test_requests_that_no_page_sees_do_not_fail_either(opened: Browser, shared_stack: RunningStack) -> None:
    """The interface's shared worker asks on its own; the gateway has the last word on what the browser asked."""
    assert opened.open(View("home", "/", shows=("Welcome to MLflow",))) == []
    log = shared_stack.local.layout.logs / "gateway.log"
    eventually(lambda: any(path.endswith("/ui-telemetry") for _, path, _ in asked(log)), what="a worker's request")
    assert [entry for entry in asked(log) if entry[2] >= 400 and entry not in EXPECTED_ANSWERS] == []


def asked(log: Path) -> list[tuple[str, str, int]]:
    """Method, path and status of each request of a headless Chromium in the gateway's log."""
    entries = [json.loads(line) for line in log.read_text().splitlines() if '"http.log.access"' in line]
    return [
        (entry["request"]["method"], entry["request"]["uri"].partition("?")[0], entry["status"])
        for entry in entries
        if "HeadlessChrome" in entry.get("user_agent", "")
    ]


def broken_answer(page: Page) -> None:
    page.route(EXPERIMENTS_API, lambda route: route.fulfill(status=500, json={"error_code": "INTERNAL_ERROR"}))


def cut_connection(page: Page) -> None:
    page.route(EXPERIMENTS_API, lambda route: route.abort("connectionreset"))


def unknown_run(page: Page) -> None:
    """The answer says so in its body alone, with status 200."""
    page.add_init_script(f"location.hash = '#/experiments/0/runs/{UNKNOWN_RUN}'")


def missing_script(page: Page) -> None:
    def answer(route: Route) -> None:
        route.fulfill(status=404, body="")

    page.route("**/static-files/static/js/*.chunk.js", answer)


def script_error(page: Page) -> None:
    page.add_init_script("setTimeout(() => { throw new Error('broken on purpose') }, 100)")


def call_elsewhere(page: Page) -> None:
    page.add_init_script("fetch('https://elsewhere.invalid/script.js').catch(() => null)")


def worker_calls_elsewhere(page: Page) -> None:
    program = "fetch('https://worker.invalid/').catch(() => null)"
    page.add_init_script(f"new SharedWorker(URL.createObjectURL(new Blob([`{program}`])))")


@pytest.mark.parametrize(
    ("fault", "report"),
    [
        (broken_answer, "500 GET {url}/ajax-api/2.0/mlflow/experiments/search"),
        (cut_connection, "no answer (net::ERR_CONNECTION_RESET): GET {url}/ajax-api/2.0/mlflow/experiments/search"),
        (unknown_run, "graphql GetRun: "),
        (missing_script, "404 GET {url}/static-files/static/js/"),
        (script_error, "script error: broken on purpose"),
        (call_elsewhere, "no answer (net::ERR_TUNNEL_CONNECTION_FAILED): GET https://elsewhere.invalid/script.js"),
        (worker_calls_elsewhere, "call to another host: worker.invalid"),
    ],
)
def test_a_fault_is_reported(fault: Callable[[Page], None], report: str, opened: Browser) -> None:
    """The assertion that nothing fails would fail."""
    wanted = report.format(url=opened.url)
    with opened.tab() as (page, traffic):
        fault(page)
        page.goto(f"{opened.url}/#/experiments")
        eventually(lambda: seen(page, traffic.problems(), wanted), seconds=20, what=wanted)


def seen(page: Page, problems: list[str], wanted: str) -> bool:
    """Whether one of the problems begins so; lets the browser work meanwhile."""
    page.wait_for_timeout(100)
    return any(problem.startswith(wanted) for problem in problems)
