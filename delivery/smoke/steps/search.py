"""The searches behind the tables of the web interface and behind scripts that pick the best run."""

from __future__ import annotations

from delivery.smoke.bench import ALIAS, Bench
from delivery.smoke.check import expect
from delivery.smoke.steps import tracking


def runs(bench: Bench) -> str:
    """Experiments by name; runs by parameter and metric, in a wanted order, page by page."""
    experiment_id, run_id, nested_id = bench.made.experiment_id, bench.made.run_id, bench.made.nested_run_id
    experiments = bench.client.search_experiments(filter_string=f"name = '{bench.experiment_name}'")
    expect("experiments of that name", [item.experiment_id for item in experiments], [experiment_id])
    depth = tracking.PARAMETERS["depth"]
    for condition, wanted in (
        (f"params.depth = '{depth}' and metrics.curve_9 > 0", [run_id]),
        (f"params.depth = '{depth}' and metrics.curve_9 < 0", []),
        ("tags.team = 'smoke' and attributes.run_name = 'parent'", [run_id]),
    ):
        found = bench.client.search_runs([experiment_id], condition)
        expect(f"runs where {condition}", [item.info.run_id for item in found], wanted)
    order = ["attributes.run_name DESC"]
    first = bench.client.search_runs([experiment_id], max_results=1, order_by=order)
    second = bench.client.search_runs([experiment_id], max_results=1, order_by=order, page_token=first.token)
    expect("runs page by page", [item.info.run_id for item in (*first, *second)], [run_id, nested_id])
    return "experiments, runs"


def models(bench: Bench) -> str:
    """Registered models and versions by name, logged models by experiment."""
    name, version = bench.model_name, bench.made.model_version
    registered = bench.client.search_registered_models(f"name = '{name}'")
    expect(
        "registered models of that name", [(item.name, item.aliases) for item in registered], [(name, {ALIAS: version})]
    )
    versions = bench.client.search_model_versions(f"name = '{name}' and run_id = '{bench.made.run_id}'")
    expect("model versions of the run", [(item.name, str(item.version)) for item in versions], [(name, version)])
    logged = bench.client.search_logged_models([bench.made.experiment_id])
    expect("logged models of the experiment", [item.model_id for item in logged], [bench.made.logged_model_id])
    return "registered models, versions, logged models"


def traces(bench: Bench) -> str:
    """Traces by experiment, and by name."""
    found = bench.client.search_traces(locations=[bench.made.experiment_id], include_spans=False)
    expect("traces of the experiment", sorted(item.info.trace_id for item in found), sorted(bench.made.trace_ids))
    named = bench.client.search_traces(
        locations=[bench.made.experiment_id], filter_string="trace.name = 'answer'", include_spans=False
    )
    expect("traces of that name", [item.info.trace_id for item in named], bench.made.trace_ids[:1])
    return f"{len(found)} traces"
