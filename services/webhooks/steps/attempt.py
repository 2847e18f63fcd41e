"""Sending an event to a receiver, once."""

from datetime import timedelta

from services.common.clock import Clock
from services.common.telemetry.tracing import CALL, span
from services.webhooks.clients import HttpReceivers
from services.webhooks.domain import Answer, Attempt, Delivery
from services.webhooks.signatures import render_headers
from services.webhooks.store.secrets import SqlSigningSecrets


async def attempt(
    delivery: Delivery, *, receivers: HttpReceivers, secrets: SqlSigningSecrets, clock: Clock
) -> Attempt:
    """Sends an event once, signed for this moment. May be repeated: the event's id and body stay the same."""
    started_at = clock()
    headers = render_headers(
        delivery,
        secrets=[secrets.reveal(sealed) for sealed in delivery.sealed_secrets],
        sent_at=int(started_at.timestamp()),
    )
    with span(
        "webhook attempt",
        kind=CALL,
        parent=delivery.traceparent,
        job=delivery.job_id,
        account=delivery.account_id,
        event=delivery.event_id,
    ) as attempted:
        result = await receivers.post(delivery.target_url, headers=headers, body=delivery.body)
        if isinstance(result, Answer):
            attempted.note(status=result.status)
        else:
            attempted.fail("no_answer")
    latency = max(clock() - started_at, timedelta())
    return Attempt(
        delivery=delivery,
        started_at=started_at,
        latency_ms=latency // timedelta(milliseconds=1),
        result=result,
    )
