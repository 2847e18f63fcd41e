"""A listening socket that costs almost nothing until somebody calls.

What the server needs takes some 60 MB and a second to load, which a local stack saves until MCP is used for the first time.
"""

import select
import socket
from typing import Final

BACKLOG: Final = 128


def listening(address: str) -> socket.socket:
    """Returns a socket that listens at `host:port`. Raises OSError."""
    host, _, port = address.rpartition(":")
    return socket.create_server((host.strip("[]"), int(port)), backlog=BACKLOG)


def called(address: str) -> socket.socket:
    """Returns a socket that listens at `host:port`, once the first connection waits there. Raises OSError."""
    taken = listening(address)
    select.select([taken], [], [])
    return taken
