from services.billing.domain import AuditNote
from services.billing.ports import Holds
from services.common.errors import Reason, ServiceError


async def release_hold(hold_id: str, *, note: AuditNote, holds: Holds) -> int:
    """Gives back what a hold keeps: what is set aside, or what was captured and not refunded.

    Returns how many micro-credits. Repeating it gives nothing more. Refuses with HOLD_NOT_FOUND.
    """
    given_back_micros = await holds.give_back(hold_id, note=note)
    if given_back_micros is None:
        raise ServiceError(Reason.HOLD_NOT_FOUND, f"There is no hold {hold_id}.", hold_id=hold_id)
    return given_back_micros
