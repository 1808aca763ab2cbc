"""Log until standard input closes, then print as JSON what was acknowledged, what failed and the longest request.

Each request is sent once: MLflow's own repeats are off, so that a failure shows.
"""

import json
import sys
import threading
import time
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

stopped = threading.Event()


def _watch() -> None:
    sys.stdin.read()
    stopped.set()


def _log(experiment: str, found: dict[str, Any]) -> None:
    client = MlflowClient()
    step = 0
    run = client.create_run(experiment).info.run_id
    found["runs"][run] = 0
    while not stopped.is_set():
        start = time.monotonic()
        found["sent"] += 1
        try:
            if step % 50 == 49:
                run = client.create_run(experiment).info.run_id
                found["runs"][run] = 0
            elif step % 10 == 9:
                client.log_batch(run, [Metric("b", 1.0, 0, step)], [Param(f"p{step}", "x")])
                client.get_run(run)
            else:
                client.log_metric(run, "m", float(step), step=step)
                found["runs"][run] += 1
        except Exception as error:  # noqa: BLE001 - whatever the server or the client made of it, it is counted
            found["failures"].append(f"{type(error).__name__}: {str(error)[:300]}")
        step += 1
        found["longest"] = max(found["longest"], time.monotonic() - start)


if __name__ == "__main__":
    threading.Thread(target=_watch, daemon=True).start()
    results = [{"sent": 0, "failures": [], "runs": {}, "longest": 0.0} for _ in range(3)]
    threads = [threading.Thread(target=_log, args=(sys.argv[1], one)) for one in results]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(results))
