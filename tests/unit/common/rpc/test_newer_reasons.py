"""A service that is upgraded first may refuse with a reason that its callers do not know yet."""

import json
from typing import Any, cast

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from services.common.errors import Reason, ServiceError
from services.common.rpc.client import service_error
from services.common.rpc.interceptors import errors_mapped

SENTENCE = "The hold is frozen. Ask support."


def refused(code: grpc.StatusCode, reason: str, *, domain: str = "reelgate") -> grpc.aio.AioRpcError:
    packed = any_pb2.Any()
    packed.Pack(error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata={"hold_id": "vid_1"}))
    status = status_pb2.Status(code=code.value[0], message=SENTENCE, details=[packed])
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, details=SENTENCE, debug_error_string="")


class EndedError(Exception):
    """What a context raises that aborts a call."""


class Context:
    """Notes how a call ends."""

    def __init__(self) -> None:
        self.trailers: dict[str, Any] = {}
        self.ended: tuple[grpc.StatusCode, str] | None = None

    def set_trailing_metadata(self, trailers: Any) -> None:
        self.trailers = dict(trailers)

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        self.ended = (code, details)
        raise EndedError


@pytest.mark.parametrize(
    ("code", "http"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, 400),
        (grpc.StatusCode.UNAUTHENTICATED, 401),
        (grpc.StatusCode.NOT_FOUND, 404),
        (grpc.StatusCode.FAILED_PRECONDITION, 409),
        (grpc.StatusCode.ABORTED, 409),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 429),
    ],
)
async def test_an_unknown_reason_is_passed_on_under_its_grpc_status(code: grpc.StatusCode, http: int) -> None:
    context = Context()

    async def method(_request: Any, _context: Any) -> Any:
        raise service_error(refused(code, "HOLD_FROZEN"))

    with pytest.raises(EndedError):
        await errors_mapped("/reelgate.video.v1.VideoService/CreateVideo", method)(None, cast("Any", context))

    assert context.ended == (code, SENTENCE)
    assert context.trailers["x-api-status"] == str(http)
    assert json.loads(context.trailers["x-api-error-bin"])["error"]["message"] == SENTENCE
    detail = error_details_pb2.ErrorInfo()
    status_pb2.Status.FromString(context.trailers["grpc-status-details-bin"]).details[0].Unpack(detail)
    assert (detail.reason, dict(detail.metadata)) == ("HOLD_FROZEN", {"hold_id": "vid_1"})


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, Reason.UNAVAILABLE),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Reason.DEADLINE_EXCEEDED),
        (grpc.StatusCode.INTERNAL, Reason.INTERNAL),
        (grpc.StatusCode.DATA_LOSS, Reason.INTERNAL),
    ],
)
def test_an_unknown_reason_for_a_failure_of_ours_stays_one(code: grpc.StatusCode, reason: Reason) -> None:
    error = service_error(refused(code, "DISK_FULL"))

    assert error.reason is reason
    assert SENTENCE not in error.message


def test_a_known_reason_is_the_refusal_it_was() -> None:
    error = service_error(refused(grpc.StatusCode.FAILED_PRECONDITION, "HOLD_CAPTURED"))

    assert (error.reason, error.message) == (Reason.HOLD_CAPTURED, SENTENCE)


def test_the_details_of_others_are_not_passed_on() -> None:
    error = service_error(refused(grpc.StatusCode.NOT_FOUND, "HOLD_FROZEN", domain="elsewhere.example"))

    assert error.reason is Reason.INTERNAL


def test_an_unknown_reason_is_no_known_one() -> None:
    error = service_error(refused(grpc.StatusCode.NOT_FOUND, "HOLD_FROZEN"))

    assert error.reason not in set(Reason)
    assert f"{error.reason}" == "HOLD_FROZEN"
    assert isinstance(error, ServiceError)
