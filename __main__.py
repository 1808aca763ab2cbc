"""The Pulumi program's entry point."""

import gc
import signal

from infra.program import main
from infra.sdk import spare

# The engine interrupts a program that still waits when a resource has failed: it ends, and has nothing to say.
signal.signal(signal.SIGINT, signal.SIG_DFL)
# What the program makes lives to its end: to look for garbage takes a sixth of a preview, and finds none.
gc.disable()
spare()
main()
