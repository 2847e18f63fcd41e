"""The process that the Python processes of a local stack are forks of when it starts.

It loads once what they load, and forks for each of them before anything of it has run: one thread, no loop, no connection.
What is loaded stays shared memory. Decoders are left out: only who decodes loads them.
"""

import gc
import json
import os
import runpy
import socket
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

SHARED = (
    "services.billing.wiring",
    "services.common.process",
    "services.edge.process",
    "services.jobs.wiring.process",
    "services.jobs.wiring.worker",
    "services.simulator.server",
    "services.webhooks.wiring",
)
LOADED = b"loaded"
ORDER_BYTES_MAX = 128 * 1024
"""An order brings a whole environment."""
FILES_OF_AN_ORDER = 2
NAME_BYTES_MAX = 15
"""Linux keeps no more of the name of a process."""

Order = dict[str, Any]


def main() -> None:
    """Follows orders until the socket that is its stdin is closed. In a fork, returns when what was ordered has ended."""
    gc.disable()
    control = socket.socket(fileno=os.dup(0))
    for name in SHARED:
        import_module(name)
    # The collector would write into what is shared.
    gc.collect()
    gc.freeze()
    try:
        control.send(LOADED)
    except BrokenPipeError:
        return  # the stack did not start, and has said why
    order = _next_order(control)
    if order is not None:
        _become(order)


def _next_order(control: socket.socket) -> Order | None:
    """Returns an order in the fork that is to follow it, and None in this process once the control socket is closed."""
    while True:
        order, files, *_ = socket.recv_fds(control, ORDER_BYTES_MAX, FILES_OF_AN_ORDER)
        if not order:
            return None
        log, told = files
        between = os.fork()
        if between == 0:
            control.close()
            return _begun(json.loads(order), log=log, told=told)
        os.waitpid(between, 0)
        os.close(log)
        os.close(told)


def _begun(order: Order, *, log: int, told: int) -> Order:
    """Forks once more, so that the stack adopts what is left, and tells it the pid."""
    child = os.fork()
    if child != 0:
        _leave_between(child, told)
    os.close(told)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(log)
    return order


def _leave_between(child: int, told: int) -> NoReturn:
    os.write(told, str(child).encode())
    os._exit(0)


def _become(order: Order) -> None:
    """Does what `python -m` would, in the environment of the order."""
    gc.enable()
    os.environ.clear()
    os.environ.update(order["environment"])
    sys.argv = order["words"]
    with suppress(OSError):
        Path("/proc/self/comm").write_bytes(order["name"].encode()[:NAME_BYTES_MAX])
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
