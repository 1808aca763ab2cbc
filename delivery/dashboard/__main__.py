"""Entry point of `python -m delivery.dashboard`."""

from __future__ import annotations

import sys

from delivery.dashboard.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
