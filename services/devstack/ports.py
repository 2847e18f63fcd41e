"""Which loopback port each part of a stack listens on."""

import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from services.devstack.errors import StackError

LOOPBACK = "127.0.0.1"
INNER_FIRST, INNER_LAST = 20_000, 32_767
"""Below the ephemeral ports, so that the port of a restarting process stays free."""


@dataclass(frozen=True, kw_only=True)
class Ports:
    """The ports of one stack, for as long as it runs."""

    edge: int
    edge_admin: int
    edge_metrics: int
    postgres: int
    simulator: int
    media: int
    mcp: int
    billing_public: int
    billing_internal: int
    billing_admin: int
    billing_health: int
    billing_metrics: int
    webhooks_public: int
    webhooks_internal: int
    webhooks_admin: int
    webhooks_health: int
    webhooks_metrics: int
    jobs_public: int
    jobs_admin: int
    jobs_health: int
    jobs_metrics: int
    worker_admin: int
    worker_health: int
    worker_metrics: int


def choose_ports(edge: int) -> Ports:
    """Returns `edge` (0: any) and free ports for the rest. Raises StackError if `edge` is taken."""
    if edge and not _is_free(edge):
        raise StackError(
            f"Port {edge} is taken. Stop what listens there, or choose another one: "
            f"`reelgate up --port {edge + 1}` (0 takes a free one)."
        )
    names = [name for name in Ports.__dataclass_fields__ if name != "edge"]
    free = _free_ports(len(names) + 1)
    return Ports(edge=edge or free.pop(), **dict(zip(names, free, strict=False)))


def _free_ports(count: int) -> list[int]:
    span = INNER_LAST - INNER_FIRST + 1
    # Stacks that start at the same time have different pids, so they search different ranges.
    offset = os.getpid() * 32
    found: list[int] = []
    with ExitStack() as bound:
        for step in range(span):
            port = INNER_FIRST + (offset + step) % span
            probe = bound.enter_context(socket.socket())
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            found.append(port)
            if len(found) == count:
                return found
    raise StackError(f"No {count} free ports between {INNER_FIRST} and {INNER_LAST}.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
