#!/usr/bin/env python3
"""Started by the engine as a program, or by its Python language host in this folder; the first line is the port."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from delivery.policy_pack.analyzer import serve

server, port = serve()
print(port, flush=True)
# The engine ends it by an interrupt.
with contextlib.suppress(KeyboardInterrupt):
    server.wait_for_termination()
