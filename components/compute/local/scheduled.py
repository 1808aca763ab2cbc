"""Run a job by its schedule: `python -m components.compute.local.scheduled SCHEDULE`, kept by supervisord.

SCHEDULE is a `cron` expression in UTC. The variable JOB holds the JSON of the `Job`, and READY_FILE names the file that
is created once both are understood. A run that fails is logged, and the next one comes at its time. Runs never overlap:
a time that passes during a run, or while this machine sleeps or the stack is down, is left out.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from components.compute.cron import Schedule
from components.compute.local import jobs

# A clock that is set, or a machine that wakes up, is noticed after this long.
LOOK_SECONDS = 20.0

_logger = logging.getLogger("scheduled")


def wait_until(moment: datetime, now: Callable[[], datetime], sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait for a time of the wall clock, in UTC."""
    while (left := (moment - now()).total_seconds()) > 0:
        sleep(min(left, LOOK_SECONDS))


def run_next(schedule: Schedule, job: jobs.Job, now: Callable[[], datetime], wait: Callable[[datetime], None]) -> None:
    """Wait for the schedule's next time and run the job once; a failure is logged."""
    moment = schedule.after(now())
    _logger.info("%s: next run at %s", job.name, moment.isoformat())
    wait(moment)
    try:
        jobs.run(job)
    except jobs.JobError as error:
        _logger.warning("%s", error)
    else:
        _logger.info("%s: ended well", job.name)


def main(expression: str) -> None:
    """Run the job at each of its times, until a signal ends this process and the run under way."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    schedule, job = Schedule.parse(expression), jobs.Job.of(json.loads(os.environ["JOB"]))
    Path(os.environ["READY_FILE"]).touch()
    while True:
        run_next(schedule, job, _now, lambda moment: wait_until(moment, _now))


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    main(sys.argv[1])
