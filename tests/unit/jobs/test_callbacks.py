"""Anybody may call a provider's callback address: what is not ours costs a hash, and no query."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

import pytest

from services.common.auth.key_forms import KeyForms
from services.common.errors import Reason, ServiceError
from services.jobs.callback_tokens import (
    SIGNATURE_LENGTH,
    UNSIGNED_AT_ONCE_MAX,
    UNSIGNED_PER_SECOND_MAX,
    CallbackTokens,
)
from services.jobs.domain.claims import Attempt
from services.jobs.operations.receive_callback import CallbackReceiver
from services.jobs.store.queue.called import Called, SqlCalled
from services.jobs.store.queue.work import SqlWork
from services.upstream.provider import Hint, Provider, UnreachableError, UpstreamError

BODY = b'{"id":"cgt-1"}'
HEADERS = {"x-signature": "s"}
KNOWN = "known-token"
HINT = Hint(task_id="cgt-1", is_authentic=False)
ATTEMPT = Attempt(
    id="att_1",
    job_id="vid_1",
    number=1,
    route="r",
    upstream_model="m",
    token=KNOWN,
    lease_no=1,
    opened_at=datetime(2026, 3, 1, tzinfo=UTC),
)


@dataclass
class Desk:
    """Takes hints for one attempt, and counts what they cost."""

    tokens: CallbackTokens = field(
        default_factory=lambda: CallbackTokens(["new", "old"], monotonic=lambda: 0.0)
    )
    answer: Hint | UpstreamError | None = HINT
    queries: int = 0
    bodies: list[tuple[Mapping[str, str], bytes, str]] = field(default_factory=list)
    hints: list[Hint] = field(default_factory=list)
    rings: int = 0

    async def find(self, token: str) -> Called | None:
        self.queries += 1
        return Called(attempt=ATTEMPT, environment="live") if token == KNOWN else None

    async def wake(self, token: str, hint: Hint) -> bool:
        assert token == KNOWN
        self.hints.append(hint)
        return True

    async def read_callback(self, headers: Mapping[str, str], body: bytes, *, model: str) -> Hint | None:
        self.bodies.append((headers, body, model))
        if isinstance(self.answer, UpstreamError):
            raise self.answer
        return self.answer

    def notify(self) -> None:
        self.rings += 1

    async def receive(self, text: str) -> None:
        receiver = CallbackReceiver(
            tokens=self.tokens,
            called=cast("SqlCalled", self),
            work=cast("SqlWork", self),
            providers={"live": {ATTEMPT.route: cast("Provider", self)}},
            notify=self.notify,
        )
        await receiver.receive(text, HEADERS, BODY)


@pytest.mark.parametrize("secrets", [["new", "old"], ["old"]])
async def test_a_token_that_any_of_the_secrets_signed_wakes_its_job(secrets: list[str]) -> None:
    desk = Desk()

    await desk.receive(CallbackTokens(secrets).sign(KNOWN))

    assert (desk.hints, desk.rings) == ([HINT], 1)
    assert desk.bodies == [(HEADERS, BODY, "m")]


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

    assert (desk.queries, desk.bodies, desk.rings) == (0, [], 0)


async def test_a_signed_token_that_names_no_attempt_rings_for_nobody() -> None:
    desk = Desk()

    await desk.receive(desk.tokens.sign("other"))

    assert (desk.queries, desk.bodies, desk.rings) == (1, [], 0)


async def test_what_the_provider_does_not_believe_wakes_nobody() -> None:
    desk = Desk(answer=None)

    await desk.receive(desk.tokens.sign(KNOWN))

    assert (desk.hints, desk.rings) == ([], 0)


async def test_what_cannot_be_judged_now_is_to_be_sent_again() -> None:
    desk = Desk(answer=UnreachableError("no keys"))

    with pytest.raises(ServiceError) as caught:
        await desk.receive(desk.tokens.sign(KNOWN))

    assert caught.value.reason is Reason.UNAVAILABLE
    assert (desk.hints, desk.rings) == ([], 0)


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
