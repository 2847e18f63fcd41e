"""Whether another service answers, and lets this one in."""

from services.common.diagnosis.findings import Finding
from services.common.errors import Reason, ServiceError
from services.common.rpc.client import open_channel
from services.common.tls.files import TlsFolder

ANSWER_SECONDS_MAX = 5.0
NOT_ADMITTED = "PERMISSION_DENIED"


async def look_at_neighbour(name: str, target: str, *, method: str, tls: TlsFolder | None) -> list[Finding]:
    """Calls `/package.Service/Method` with an empty request, which must change nothing, whether it is answered or refused. Raises TlsError."""
    try:
        async with open_channel(target, tls=tls, timeout_seconds=ANSWER_SECONDS_MAX) as channel:
            await channel.unary_unary(method, bytes, bytes)(b"")
    except ServiceError as error:
        if NOT_ADMITTED in error.detail:
            return [
                Finding(
                    subject=name,
                    problem=f"{target} does not admit this service ({error.detail})",
                    remedy=f"List the identity of this certificate in the settings of {name} (*_IDENTITIES)",
                )
            ]
        if error.reason in {Reason.UNAVAILABLE, Reason.DEADLINE_EXCEEDED}:
            return [
                Finding(
                    subject=name,
                    problem=f"{target} does not answer ({error.detail})",
                    remedy=f"Start {name}, correct the target, or let both trust the same authority",
                )
            ]
    return []
