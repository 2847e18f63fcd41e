"""A kept answer that cannot be opened any more is one caller's trouble."""

import asyncio

from services.common.idempotency.store import Ending, KeyedRequest, Lock, SqlIdempotencyKeys
from services.common.postgres.database import open_pool
from tests.conftest import MakeDatabase


def _request(key: str) -> KeyedRequest:
    return KeyedRequest(key_id="key_1", key=key, fingerprint=b"the same")


def _unseal(sealed: bytes) -> bytes:
    if sealed == b"of another secret":
        raise ValueError(sealed)
    return sealed


async def test_requests_are_locked_beside_one_whose_answer_cannot_be_opened(
    make_database: MakeDatabase,
) -> None:
    async with open_pool(make_database("webhooks"), name="keys", connections_max=2) as pool:
        keys = SqlIdempotencyKeys(pool, unseal=_unseal)
        first = await keys.reserve(_request("stuck"), ulid="u0")
        assert isinstance(first, Lock)
        await keys.end(Ending(lock=first, answer=b"of another secret"))

        stuck, *others = await asyncio.gather(
            *(keys.reserve(_request(key), ulid=f"ulid-{key}") for key in ("stuck", "a", "b", "c")),
            return_exceptions=True,
        )

    assert isinstance(stuck, ValueError)
    assert [getattr(lock, "ulid", lock) for lock in others] == ["ulid-a", "ulid-b", "ulid-c"]
