"""The Pulumi program's entry point."""

import signal

# The engine interrupts a program that still waits when a resource has failed: it ends, and has nothing to say. Before
# the imports, in which a second or two go by.
signal.signal(signal.SIGINT, signal.SIG_DFL)

import gc  # noqa: E402

from infra.program import main  # noqa: E402
from infra.sdk import spare  # noqa: E402

# What the program makes lives to its end: to look for garbage takes a sixth of a preview, and finds none.
gc.disable()
spare()
main()
