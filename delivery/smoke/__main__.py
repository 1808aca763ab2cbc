"""Entry point of `python -m delivery.smoke`."""

from __future__ import annotations

import os
import sys

from delivery.smoke.command import main

if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # The MLflow client transfers files in threads that a normal exit would wait for, however long the server takes.
    os._exit(code)
