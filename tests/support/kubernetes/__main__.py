"""A real Kubernetes to look at, until Ctrl-C: `make kubernetes`."""

from __future__ import annotations

import signal
import sys
import time

from tests.support.kubernetes.control_plane import clean_leftovers, control_plane
from tools.kubernetes import programs


def main() -> None:
    """Start it, print how to reach it, and end it with this process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it otherwise
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminated)
    for line in clean_leftovers():
        print(line, file=sys.stderr)
    with control_plane(programs.cached()) as plane:
        print(
            f"Kubernetes {programs.version()} with six nodes in three zones. Nodes and pods are simulated by kwok.\n"
            f"In another shell:\n\n"
            f"export KUBECONFIG={plane.kubeconfig()}\n"
            f"export PATH={plane.programs.kubectl.parent}:$PATH\n"
            f"kubectl get nodes --label-columns topology.kubernetes.io/zone\n\n"
            f"Ctrl-C ends every process and removes {plane.folder}.\n"
            f"If this process is killed with -9, the next start does both.",
            flush=True,
        )
        while plane.alive():
            time.sleep(1)


def _terminated(number: int, _: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("ended", file=sys.stderr)
