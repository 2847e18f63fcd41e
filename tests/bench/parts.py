"""The parts of the bench, each of which runs by itself: `make bench PART=poll`, or `PART=poll,create`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from tests.bench.callbacks import measure_callbacks
from tests.bench.create import measure_create
from tests.bench.flight import measure_flight, measure_short_flight
from tests.bench.hostile import measure_hostile
from tests.bench.ledger import measure_ledger
from tests.bench.limits import measure_limits
from tests.bench.months import measure_months
from tests.bench.mutual_tls import measure_mutual_tls
from tests.bench.overload import measure_overload
from tests.bench.poll import measure_poll
from tests.bench.report import Row
from tests.bench.routing import measure_routing
from tests.bench.stored import measure_stored
from tests.bench.telemetry import measure_telemetry
from tests.bench.usage import measure_usage
from tests.bench.waiting import measure_waiting
from tests.bench.walk import measure_walk
from tests.bench.webhooks import measure_webhooks
from tests.bench.yardstick import Yardstick
from tests.e2e.local_stack import Account, Stack


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What parts share."""

    stack: Stack
    account: Account
    """With credits and places for all."""
    yardstick: Yardstick


Part = Callable[[Bench], Awaitable[list[Row]]]
START = "start"
"""The part that has a stack of its own."""
PARTS: Mapping[str, Part] = {
    "poll": lambda bench: measure_poll(bench.stack, bench.account, bench.yardstick),
    "create": lambda bench: measure_create(bench.stack, bench.account, bench.yardstick),
    "walk": lambda bench: measure_walk(bench.stack, bench.account),
    "short-flight": lambda bench: measure_short_flight(bench.stack, bench.account),
    "callbacks": lambda bench: measure_callbacks(bench.stack, bench.account),
    "ledger": lambda bench: measure_ledger(bench.stack),
    "certificates": lambda bench: measure_mutual_tls(bench.stack, bench.account),
    "telemetry": lambda _: measure_telemetry(),
    "webhooks": lambda bench: measure_webhooks(bench.stack),
    "usage": lambda bench: measure_usage(bench.stack),
    "months": lambda bench: measure_months(bench.stack.cluster()),
    "routing": lambda _: measure_routing(),
    "waiting": lambda bench: measure_waiting(bench.stack),
    "limits": lambda bench: measure_limits(bench.stack),
    "hostile": lambda bench: measure_hostile(bench.stack),
    "overload": lambda bench: measure_overload(bench.stack),
    "stored": lambda bench: measure_stored(bench.stack),
    "flight": lambda bench: measure_flight(bench.stack, bench.account),
}
"""In the order in which all run. `start` comes before them."""
ONLY_BY_NAME = frozenset({"stored", "flight"})
"""They take two and five minutes; all others take less than 15 in all."""


class UnknownPartError(Exception):
    """Names of parts that there are not; the message says which there are."""


def chosen(text: str) -> list[str]:
    """Returns the parts that a text names, separated by commas, in their order.

    For an empty text all of them but ONLY_BY_NAME.
    """
    names = [START, *PARTS]
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise UnknownPartError(f"no part {', '.join(unknown)}; there are {', '.join(names)}")
    return [name for name in names if name in wanted or not (wanted or name in ONLY_BY_NAME)]
