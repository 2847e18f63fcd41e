"""Anybody may call a provider's callback address: what is not ours costs a hash, and no query."""

from dataclasses import dataclass, field
from typing import cast

import pytest

from services.common.auth.key_forms import KeyForms
from services.jobs.callback_tokens import (
    SIGNATURE_LENGTH,
    UNSIGNED_AT_ONCE_MAX,
    UNSIGNED_PER_SECOND_MAX,
    CallbackTokens,
)
from services.jobs.operations.receive_callback import receive_callback
from services.jobs.store.queue.work import SqlWork
from services.upstream.provider import Hint

BODY = b'{"id":"cgt-1"}'
KNOWN = "known-token"


@dataclass
class Desk:
    """Takes hints for one attempt, and counts what they cost."""

    tokens: CallbackTokens = field(
        default_factory=lambda: CallbackTokens(["new", "old"], monotonic=lambda: 0.0)
    )
    queries: int = 0
    bodies: int = 0
    claims: list[str | None] = field(default_factory=list)
    rings: int = 0

    async def wake(self, token: str, *, claimed_task_id: str | None) -> bool:
        self.queries += 1
        if token != KNOWN:
            return False
        self.claims.append(claimed_task_id)
        return True

    def read(self, body: bytes) -> Hint | None:
        self.bodies += 1
        return Hint(task_id="cgt-1", is_authentic=False) if b"cgt-1" in body else None

    def notify(self) -> None:
        self.rings += 1

    async def receive(self, text: str) -> None:
        await receive_callback(
            text,
            BODY,
            tokens=self.tokens,
            work=cast("SqlWork", self),
            read_hint=self.read,
            notify=self.notify,
        )


@pytest.mark.parametrize("secrets", [["new", "old"], ["old"]])
async def test_a_token_that_any_of_the_secrets_signed_wakes_its_job(secrets: list[str]) -> None:
    desk = Desk()

    await desk.receive(CallbackTokens(secrets).sign(KNOWN))

    assert (desk.claims, desk.rings) == (["cgt-1"], 1)


@pytest.mark.parametrize(
    "text",
    [
        CallbackTokens(["other"]).sign(KNOWN),
        CallbackTokens(["new"]).sign(KNOWN)[:-1] + "g",
        CallbackTokens(["new"]).sign(KNOWN) + "0",
        CallbackTokens(["new"]).sign("other").replace("other", KNOWN),
        f"{KNOWN}.{'0' * SIGNATURE_LENGTH}",
        f"{KNOWN}.",
        f"{KNOWN}.{KeyForms(['new']).complete(KNOWN).removeprefix(KNOWN)}",
        "known-token\u0000",
        "../x",
        "x" * 100_000,
        "",
    ],
)
async def test_what_we_did_not_sign_is_neither_looked_up_nor_read(text: str) -> None:
    desk = Desk()

    await desk.receive(text)

    assert (desk.queries, desk.bodies, desk.rings) == (0, 0, 0)


async def test_a_signed_token_that_names_no_attempt_rings_for_nobody() -> None:
    desk = Desk()

    await desk.receive(desk.tokens.sign("other"))

    assert (desk.queries, desk.claims, desk.rings) == (1, [], 0)


async def test_tokens_from_before_they_were_signed_go_on_working_but_cost_only_so_much() -> None:
    now = 0.0
    desk = Desk(tokens=CallbackTokens(["new"], monotonic=lambda: now))

    await desk.receive(KNOWN)
    for number in range(10 * UNSIGNED_AT_ONCE_MAX):
        await desk.receive(f"made-up-{number}")
    at_once = desk.queries
    now = 10.0
    for number in range(10 * UNSIGNED_AT_ONCE_MAX):
        await desk.receive(f"made-up-{number}")

    assert desk.rings == 1
    assert at_once == UNSIGNED_AT_ONCE_MAX
    assert desk.queries - at_once <= 10 * UNSIGNED_PER_SECOND_MAX


async def test_signed_tokens_do_not_wait_for_the_unsigned() -> None:
    desk = Desk()
    for number in range(2 * UNSIGNED_AT_ONCE_MAX):
        await desk.receive(f"made-up-{number}")

    await desk.receive(desk.tokens.sign(KNOWN))

    assert desk.rings == 1
