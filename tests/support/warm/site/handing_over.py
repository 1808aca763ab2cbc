"""The interpreter's side: its child is forked elsewhere, its signals go there, and it ends as the child does."""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from types import FrameType

_AT_START = ("PYTHONHASHSEED", "PYTHONPYCACHEPREFIX", "PYTHONFAULTHANDLER")
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

# The engine's language host is interrupted with its program (not with a provider, `-m`), and kills that within a
# millisecond. A cold program has no time to say anything then; a child, which is killed from here, would have.
_BEFORE_IT_IS_PASSED_ON_SECONDS = 0.1


def facts() -> dict[str, object]:
    """Return what an interpreter decides when it starts, which a forked one cannot change any more."""
    return {
        "prefix": os.path.realpath(sys.prefix),
        "flags": list(sys.flags),
        "options": [*sys.warnoptions, *sorted(sys._xoptions)],
        **{name: os.environ.get(name) for name in _AT_START},
        "encodings": [[stream.encoding, stream.errors] for stream in (sys.stdin, sys.stdout, sys.stderr) if stream],
    }


def hand_over(address: str, options: list[str]) -> None:
    """Let the server run this interpreter's program, and end as that ends; return where no server takes it."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.connect(address)
    except OSError:
        return
    os.umask(umask := os.umask(0o077))
    request = {
        "facts": facts(),
        "executable": sys.executable,
        "started": sys.orig_argv,
        "options": options,
        "unbuffered": getattr(sys.stdout, "write_through", False),
        "path": sys.path,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "umask": umask,
        "ignored": [int(number) for number in _PASSED_ON if signal.getsignal(number) is signal.SIG_IGN],
    }
    body = json.dumps(request).encode()
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)  # until the child is known
    answers = server.makefile("r")
    try:
        socket.send_fds(server, [len(body).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(body)
        child = int(answers.readline() or 0)
    except OSError:  # its server is gone, or one of its own files
        child = 0
    if not child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        return

    def pass_on(number: int, _: FrameType | None) -> None:
        if options[0] != "-m":
            time.sleep(_BEFORE_IT_IS_PASSED_ON_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in _PASSED_ON:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    if not (ended := answers.readline()):  # who watched the child is gone
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    status = int(ended or signal.SIGKILL)
    if os.WIFSIGNALED(status):
        with contextlib.suppress(OSError):  # SIGKILL, that has no other
            signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status))
