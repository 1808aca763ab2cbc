"""Clients that take and send slowly: a little more than the KiB a second below which the gateway ends a transfer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

_PIECE: Final = 1024
_PAUSE_SECONDS: Final = 0.5
_ESTABLISHED: Final = "01"


def connection(port: int, request: str) -> socket.socket:
    """Return a connection that has sent the head of a request, and takes little of its answer by itself."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    made.connect(("127.0.0.1", port))
    made.sendall(request.encode())
    return made


def unsent(port: int) -> list[int]:
    """Return the bytes that Linux holds for each connection of the server at a port (proc(5), /proc/net/tcp)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    queues = [row[4] for row in rows if row[1].endswith(f":{port:04X}") and row[3] == _ESTABLISHED]
    return [int(queue.partition(":")[0], 16) for queue in queues]


@contextlib.contextmanager
def trickling(taking: Collection[socket.socket], sending: Collection[socket.socket]) -> Iterator[None]:
    """Have each connection take or send 1 KiB twice a second, as far as it can at once."""
    over = threading.Event()

    def trickle() -> None:
        while not over.wait(_PAUSE_SECONDS):
            for each in taking:
                with contextlib.suppress(BlockingIOError):
                    each.recv(_PIECE, socket.MSG_DONTWAIT)
            for each in sending:
                with contextlib.suppress(BlockingIOError):
                    each.send(bytes(_PIECE), socket.MSG_DONTWAIT)

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
