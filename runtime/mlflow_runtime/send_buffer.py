"""How much of an answer the system holds for a client that takes it slowly. It counts as the replica's memory."""

from __future__ import annotations

import socket
from typing import Final

# Linux lets a program choose no more by default (net.core.wmem_max), and would by itself keep up to 4 MiB for each
# connection (net.ipv4.tcp_wmem). Enough for 100 MB/s to a neighbour 2 ms away, and for 4 MB/s over 50 ms.
SEND_BUFFER: Final = 208 << 10


def bound(listening: socket.socket) -> None:
    """Bound what is held for each connection that the listening socket accepts from now on."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
