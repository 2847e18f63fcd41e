"""A refusal as it travels, of a call or of one item in it: a `google.rpc.Status` with its details."""

import grpc
from google.rpc import error_details_pb2, status_pb2

from services.common.errors import REFUSAL_BY_GRPC, NewerReason, Reason, ServiceError, outage
from services.common.rpc.both_ends import ERROR_DOMAIN

_REASON_BY_CODE = {
    grpc.StatusCode.UNAVAILABLE: Reason.UNAVAILABLE,
    grpc.StatusCode.CANCELLED: Reason.UNAVAILABLE,  # by a server that is stopping
    grpc.StatusCode.DEADLINE_EXCEEDED: Reason.DEADLINE_EXCEEDED,
    grpc.StatusCode.PERMISSION_DENIED: Reason.UNAVAILABLE,  # to this service: an outage of ours, not the customer's
}
_CODE_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def status_of(error: ServiceError) -> status_pb2.Status:
    """Returns a refusal as it is sent."""
    detail = error_details_pb2.ErrorInfo(
        reason=str(error.reason), domain=ERROR_DOMAIN, metadata=error.metadata
    )
    status = status_pb2.Status(code=grpc.StatusCode[error.status.grpc].value[0], message=error.message)
    status.details.add().Pack(detail)
    if "retry_after_seconds" in error.metadata:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromSeconds(int(error.metadata["retry_after_seconds"]))
        status.details.add().Pack(retry)
    return status


def error_of(status: status_pb2.Status, *, code: grpc.StatusCode | None = None) -> ServiceError:
    """Returns the refusal that a status carries; `code` is what it came with, if that is known apart.

    A reason that only a newer service knows is passed on under that code. A status that is not ours becomes
    UNAVAILABLE, DEADLINE_EXCEEDED or INTERNAL.
    """
    code = code or _CODE_BY_NUMBER.get(status.code, grpc.StatusCode.UNKNOWN)
    known = _from_details(status, grpc_status=code.name)
    if known is not None:
        return known
    return outage(_REASON_BY_CODE.get(code, Reason.INTERNAL), detail=f"{code.name}: {status.message}")


def _from_details(status: status_pb2.Status, *, grpc_status: str) -> ServiceError | None:
    for packed in status.details:
        detail = error_details_pb2.ErrorInfo()
        if packed.Unpack(detail) and detail.domain == ERROR_DOMAIN:
            reason = _known_reason(detail.reason, grpc_status)
            return None if reason is None else ServiceError(reason, status.message, **dict(detail.metadata))
    return None


def _known_reason(name: str, grpc_status: str) -> Reason | NewerReason | None:
    if name in Reason.__members__:
        return Reason(name)
    shown = REFUSAL_BY_GRPC.get(grpc_status)
    return None if shown is None else NewerReason(name, shown)
