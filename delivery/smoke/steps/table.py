"""All steps in their order, each with the earlier steps that it builds on."""

from __future__ import annotations

from delivery.smoke.bench import Bench
from delivery.smoke.runner import Step
from delivery.smoke.steps import artifacts, interface, models, prompts, search, traces, tracking

SERVER = "server"

STEPS: tuple[Step[Bench], ...] = (
    Step(name=SERVER, action=tracking.server),
    Step(name="experiment", action=tracking.experiment, needs=(SERVER,)),
    Step(name="run", action=tracking.run, needs=("experiment",)),
    Step(name="metrics", action=tracking.metrics, needs=("run",)),
    Step(name="nested run", action=tracking.nested_run, needs=("run",)),
    Step(name="dataset", action=tracking.dataset, needs=("run",)),
    Step(name="small artifacts", action=artifacts.small, needs=("run",)),
    Step(name="large artifact", action=artifacts.large, needs=("run",), slow=True),
    Step(name="model logged", action=models.logged, needs=("run",)),
    Step(name="model registered", action=models.registered, needs=("model logged",)),
    Step(name="model by alias", action=models.by_alias, needs=("model registered",)),
    Step(name="model stage", action=models.stage, needs=("model registered",)),
    Step(name="prompt", action=prompts.prompt, needs=("experiment",)),
    Step(name="trace by SDK", action=traces.by_sdk, needs=("experiment",)),
    Step(name="trace by OTLP", action=traces.by_otlp, needs=("experiment",)),
    Step(name="search runs", action=search.runs, needs=("metrics", "nested run")),
    Step(name="search models", action=search.models, needs=("model registered",)),
    Step(name="search traces", action=search.traces, needs=("trace by SDK", "trace by OTLP")),
    Step(name="UI page", action=interface.page, needs=(SERVER,)),
    Step(name="UI run artifacts", action=interface.run_artifacts, needs=("small artifacts",)),
    Step(name="UI model artifacts", action=interface.model_artifacts, needs=("model registered",)),
    Step(name="UI graphql", action=interface.graphql, needs=("metrics", "dataset", "model registered")),
    Step(name="UI metric chart", action=interface.metric_chart, needs=("metrics",)),
    Step(name="UI trace", action=interface.trace, needs=("trace by SDK",)),
    Step(name="run finished", action=tracking.finished, needs=("nested run",)),
)
