"""`python -m delivery.schema OLD NEW [--json]`: the comparison of two versions of MLflow, or of two images."""

from __future__ import annotations

import argparse
import sys

from delivery.schema.command import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m delivery.schema", description=__doc__)
    parser.add_argument("old", metavar="OLD", help="the version that runs, a lock file, or an image of this machine")
    parser.add_argument("new", metavar="NEW", help="the version to come, in the same way")
    parser.add_argument("--json", action="store_true", help="print a document for programs")
    given = parser.parse_args()
    sys.exit(run(given.old, given.new, given.json))
