from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from services.billing.domain import KeyCalls, SlotLease
from services.billing.store.call_limits import SqlCallLimits
from services.common.rate_limit.protocol import (
    HORIZON_US,
    US_PER_SECOND,
    WINDOW_US,
    CallLease,
    CallReport,
    Leased,
    Moments,
    count_of,
    moments_of,
    split_moments,
)

LEASE_US = 5 * US_PER_SECOND
"""Processes renew their leases every second; the rest allows for delays."""


async def lease_calls(
    holder: str, turn: int, reports: Sequence[CallReport], *, limits: SqlCallLimits
) -> Leased:
    """Takes in what a process did with its leases, and leases it slots anew.

    In any 60 seconds, no more slots are leased or used than the key may make calls. Repeating it changes nothing.
    """
    return await limits.change(
        [report.key_id for report in reports],
        decide=partial(_decide, holder, turn, {report.key_id: report for report in reports}),
    )


def _decide(
    holder: str, turn: int, reports: Mapping[str, CallReport], calls: KeyCalls, now_us: int
) -> tuple[KeyCalls, CallLease | None]:
    return lease_slots(calls, reports[calls.key_id], holder=holder, turn=turn, now_us=now_us)


def lease_slots(
    calls: KeyCalls, report: CallReport, *, holder: str, turn: int, now_us: int
) -> tuple[KeyCalls, CallLease | None]:
    """Returns a key's slots after a request, and the lease; None and no change if a later request came before it."""
    own = next((held for held in calls.held if held.holder == holder), None)
    if own is not None and turn <= own.turn:
        return calls, None
    cooling = Counter({moment: count for moment, count in calls.cooling if moment > now_us})
    kept = () if own is None else _settled(cooling, own, report)
    others = _live(cooling, (held for held in calls.held if held.holder != holder), now_us)
    elsewhere_count = sum(count_of(held.slots) for held in others)
    free_count, pool = _pool(
        cooling,
        in_use_count=elsewhere_count + count_of(kept),
        limit=calls.calls_per_minute,
        now_us=now_us,
    )
    # Slots that are free soon go to processes that need them; free slots are shared among all.
    share = (free_count + count_of(kept)) // (2 * (len(others) + 1))
    target = max(report.wanted_count, share if report.takes_share else 0)
    granted, spare = split_moments(pool, max(target - count_of(kept), 0))
    for moment, count in granted:
        if moment:
            cooling[moment] -= count
    slots = moments_of((*kept, *granted))
    lease = SlotLease(
        holder=holder,
        turn=turn,
        accounted_count=count_of(report.used),
        until_us=now_us + LEASE_US,
        slots=slots,
    )
    is_over = not slots and not report.wanted_count and not report.takes_share
    left = tuple(others) if is_over else (*others, lease)
    still_cooling = ((moment, count) for moment, count in cooling.items() if moment > now_us)
    changed = replace(calls, cooling=moments_of(still_cooling), held=left)
    return changed, _answer(changed, lease, spare_count=count_of(spare), now_us=now_us)


def _settled(cooling: Counter[int], own: SlotLease, report: CallReport) -> Moments:
    """Takes a lease back: what was used cools, what was returned is as free as it was. Returns what is kept."""
    # Uses from a request whose answer was lost are reported again, and already counted.
    told = own.accounted_count if report.answered_turn != own.turn else 0
    _, used = split_moments(report.used, told)
    used_count = min(count_of(used), count_of(own.slots))
    # More than were leased were used by a lease that had ended, and counted then.
    _, used = split_moments(used, count_of(used) - used_count)
    for moment, count in used:
        cooling[moment + WINDOW_US] += count
    _, unused = split_moments(own.slots, used_count)
    kept, returned = split_moments(unused, report.kept_count)
    for moment, count in returned:
        if moment:
            cooling[moment] += count
    return kept


def _live(cooling: Counter[int], held: Iterable[SlotLease], now_us: int) -> list[SlotLease]:
    """Returns the leases that last. The slots of the others count as used when they ended."""
    live = []
    for lease in held:
        if lease.until_us > now_us:
            live.append(lease)
        elif lease.slots:
            cooling[lease.until_us + WINDOW_US] += count_of(lease.slots)
    return live


def _pool(cooling: Counter[int], *, in_use_count: int, limit: int, now_us: int) -> tuple[int, Moments]:
    """Returns how many slots are free, and what could be leased: those, and what will be free within the horizon."""
    cooling_now = moments_of((moment, count) for moment, count in cooling.items() if moment > now_us)
    total = count_of(cooling_now) + in_use_count
    free_count = max(0, limit - total)
    # After a limit was lowered, slots above it are not leased again.
    _, within_limit = split_moments(cooling_now, max(0, total - limit))
    near = [(moment, count) for moment, count in within_limit if moment <= now_us + HORIZON_US]
    return free_count, moments_of([*([(0, free_count)] if free_count else []), *near])


def _answer(changed: KeyCalls, lease: SlotLease, *, spare_count: int, now_us: int) -> CallLease:
    everywhere = [*changed.cooling, *(pair for held in changed.held for pair in held.slots)]
    cooling = moments_of((moment, count) for moment, count in everywhere if moment > now_us)
    _, within_limit = split_moments(cooling, max(0, count_of(cooling) - changed.calls_per_minute))
    others = [pair for held in changed.held if held.holder != lease.holder for pair in held.slots]
    return CallLease(
        slots=lease.slots,
        until_us=lease.until_us,
        calls_per_minute=changed.calls_per_minute,
        free_count=max(0, changed.calls_per_minute - count_of(cooling)),
        next_free_us=within_limit[0][0] if within_limit else 0,
        spare_count=spare_count,
        elsewhere_count=count_of(others),
    )
