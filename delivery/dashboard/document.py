"""What the page and `--json` get to know, as JSON documents. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from components.mlflow.observability.panels import PANELS, Panel
from delivery.dashboard.evaluation import Reading, charted, values

STEP_SECONDS = 15
"""What one point of a chart is of."""

Json = dict[str, Any]


def chart(readings: Sequence[Reading], *, now: float, every: float, kept: float) -> Json:
    """Every panel over the last `kept` seconds, and which replicas reported in the last step.

    The step that has not ended yet is left out: its rates would fall with what is missing of it.
    """
    last = now - now % STEP_SECONDS
    first = max(last - kept, min((reading.at for reading in readings), default=last))
    times = _range(first - first % STEP_SECONDS, last)
    ended = [reading for reading in readings if reading.at < last]
    fresh = {reading.replica for reading in readings if reading.at >= now - STEP_SECONDS}
    return {
        "at": now,
        "every": every,
        "replicas": sorted(fresh),
        "times": times,
        "panels": [
            {**_panel(panel), "lines": {line: [values.get(time) for time in times] for line, values in lines.items()}}
            for panel in PANELS
            for lines in [charted(panel, ended, STEP_SECONDS)]
        ],
    }


def present(readings: Sequence[Reading], *, seconds: float) -> Json:
    """Every panel as one value a line, of readings of so many seconds."""
    return {
        "seconds": round(seconds, 3),
        "replicas": sorted({reading.replica for reading in readings}),
        "panels": [
            {**_panel(panel), "lines": dict(sorted(values(panel, readings, seconds).items()))} for panel in PANELS
        ],
    }


def _panel(panel: Panel) -> Json:
    above = None if panel.alert is None else panel.alert.above
    return {"name": panel.name, "title": panel.title, "unit": panel.unit.value, "above": above}


def _range(first: float, last: float) -> list[float]:
    return [first + index * STEP_SECONDS for index in range(int((last - first) / STEP_SECONDS))]
