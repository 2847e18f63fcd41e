"""Asks the billing service for the owner of an API key."""

from grpc import aio
from reelgate.internal.keys.v1.key_service_pb2 import LookUpKeyRequest
from reelgate.internal.keys.v1.key_service_pb2_grpc import KeyServiceStub

from services.common.auth.authentication import Caller
from services.common.errors import Reason, ServiceError

LOOK_UP_TIMEOUT_SECONDS = 3.0


class KeyClient:
    """Looks API keys up at the billing service."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = KeyServiceStub(channel)

    async def look_up(self, key_sha256: bytes) -> Caller | None:
        """Returns the owner of the key, or None when it does not work."""
        try:
            found = await self._stub.LookUpKey(
                LookUpKeyRequest(key_sha256=key_sha256), timeout=LOOK_UP_TIMEOUT_SECONDS
            )
        except ServiceError as error:
            if error.reason is Reason.KEY_INVALID:
                return None
            raise
        return Caller(
            key_id=found.key_id,
            account_id=found.account_id,
            environment=found.environment,
            contract=found.contract,
            models=tuple(found.models),
            kind=found.kind,
            calls_per_minute=found.calls_per_minute,
            account_jobs_at_once=found.account_jobs_at_once or Caller.account_jobs_at_once,
            key_jobs_at_once=found.key_jobs_at_once or Caller.key_jobs_at_once,
            moderation_profile=found.moderation_profile,
            moderation_profiles=tuple(found.moderation_profiles),
        )
