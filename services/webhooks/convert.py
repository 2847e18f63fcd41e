"""Wire messages to values, and values to what is sent."""

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from reelgate.admin.v1 import signing_secret_service_pb2
from reelgate.internal.intake.v1.event_pb2 import Event as EventMessage
from reelgate.webhooks.v1 import (
    webhook_delivery_pb2,
    webhook_endpoint_pb2,
    webhook_listener_pb2,
    webhooks_service_pb2,
)

from services.common.clock import parse_moment, rfc3339
from services.common.egress.urls import URL_LENGTH_MAX
from services.common.errors import ServiceError, invalid_field
from services.common.rpc.enums import environment_value
from services.webhooks.domain import (
    CALLBACK_TARGET,
    ENDPOINT_DISABLED,
    TEST_EVENT,
    DeliveryFilter,
    DeliveryKey,
    DeliveryStatus,
    DisabledEndpoint,
    Endpoint,
    EndpointChange,
    Event,
    Heard,
    ListedDelivery,
    Listener,
    PastAttempt,
    Redelivery,
    Signing,
)
from services.webhooks.refusals import delivery_not_found
from services.webhooks.signatures import render_headers

TEXT_LENGTH_MAX = 128
BODY_BYTES_MAX = 1024 * 1024
MILLIS_MAX = 253_402_300_799_999
"""The last millisecond of the year 9999."""

# These texts become keys and headers.
_TEXT = re.compile(rf"[!-~]{{1,{TEXT_LENGTH_MAX}}}")
_TEXT_FIELDS = ("event_id", "job_id", "account_id", "environment", "contract", "type")


def parse_event(message: EventMessage) -> Event:
    """Returns an event. Refuses with INVALID_FIELD; the address is judged when it is delivered to."""
    texts = {name: str(getattr(message, name)) for name in _TEXT_FIELDS}
    for name, value in texts.items():
        if _TEXT.fullmatch(value) is None:
            raise invalid_field(name, f"must be 1 to {TEXT_LENGTH_MAX} visible ASCII characters", value)
    if message.sequence < 1:
        raise invalid_field("sequence", "must be at least 1", message.sequence)
    if len(message.target_url) > URL_LENGTH_MAX or "\0" in message.target_url:
        raise invalid_field("target_url", f"must be at most {URL_LENGTH_MAX} characters", message.target_url)
    if not 1 <= len(message.body) <= BODY_BYTES_MAX:
        raise invalid_field("body", f"must be 1 to {BODY_BYTES_MAX} bytes; it had {len(message.body)}")
    if not 0 <= message.occurred_at_millis <= MILLIS_MAX:
        raise invalid_field(
            "occurred_at_millis", "must be a Unix time in milliseconds", message.occurred_at_millis
        )
    return Event(
        **texts,
        sequence=message.sequence,
        target_url=message.target_url,
        body=message.body,
        occurred_at=datetime.fromtimestamp(message.occurred_at_millis / 1000, UTC),
    )


def parse_events(messages: Iterable[EventMessage]) -> list[Event]:
    """Returns events. Refuses with INVALID_FIELD, whose `event_id` says which is the first that cannot be taken."""
    found = []
    for message in messages:
        try:
            found.append(parse_event(message))
        except ServiceError as error:
            error.metadata["event_id"] = message.event_id[:TEXT_LENGTH_MAX]
            raise
    return found


def render_disabled_event(endpoint: DisabledEndpoint) -> Event:
    """Returns the event that reports a disabled endpoint: always the same one."""
    event_id = f"evt_{endpoint.endpoint_id.removeprefix('whe_')}-{endpoint.disabled_count}"
    body = {
        "id": event_id,
        "type": ENDPOINT_DISABLED,
        "created_at": rfc3339(endpoint.disabled_at),
        "sequence": endpoint.disabled_count,
        "data": {
            "id": endpoint.endpoint_id,
            "url": endpoint.url,
            "enabled": False,
            "disabled_reason": endpoint.reason,
        },
    }
    return Event(
        event_id=event_id,
        job_id=endpoint.endpoint_id,
        account_id=endpoint.account_id,
        environment=endpoint.environment,
        contract=endpoint.contract,
        type=ENDPOINT_DISABLED,
        sequence=endpoint.disabled_count,
        target_url="",
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
        occurred_at=endpoint.disabled_at,
    )


LIST_LIMIT_DEFAULT = 20
# The id of a job, a number and the id of a target; none of the three has a dot.
_DELIVERY_ID = re.compile(r"([0-9A-Za-z_-]{1,64})\.([0-9]{1,6})\.([0-9a-z_]{1,64})")


def parse_endpoint(
    request: webhooks_service_pb2.CreateWebhookEndpointRequest
    | webhooks_service_pb2.UpdateWebhookEndpointRequest,
) -> EndpointChange:
    """Returns the requested change of an endpoint."""
    return EndpointChange(
        url=request.url or None,
        events=tuple(request.events) or None,
        description=request.description if request.HasField("description") else None,
        is_enabled=request.enabled if request.HasField("enabled") else None,
    )


def parse_delivery_id(text: str) -> DeliveryKey:
    """Returns which delivery an id names. Refuses with DELIVERY_NOT_FOUND what cannot be one."""
    found = _DELIVERY_ID.fullmatch(text)
    if found is None:
        raise delivery_not_found()
    return DeliveryKey(job_id=found[1], sequence=int(found[2]), target_id=found[3])


def parse_list_deliveries(
    request: webhooks_service_pb2.ListWebhookDeliveriesRequest,
) -> tuple[DeliveryFilter, DeliveryKey | None, int]:
    """Returns what to list, what to continue after, and how many. Refuses with INVALID_FIELD."""
    after = None
    if request.HasField("after"):
        found = _DELIVERY_ID.fullmatch(request.after)
        if found is None:
            raise invalid_field("after", "must be the id of a delivery", request.after)
        after = parse_delivery_id(request.after)
    wanted = DeliveryFilter(
        endpoint_id=request.endpoint_id or None,
        job_id=request.job_id or None,
        status=DeliveryStatus(request.status) if request.HasField("status") else None,
        start=parse_moment("start", request.start) if request.HasField("start") else None,
        end=parse_moment("end", request.end) if request.HasField("end") else None,
    )
    return wanted, after, request.limit or LIST_LIMIT_DEFAULT


def parse_redelivery(
    request: webhooks_service_pb2.CreateWebhookRedeliveryRequest, *, now: datetime
) -> tuple[datetime, datetime, str | None]:
    """Returns first and last moment, and the endpoint if one was named. Refuses with INVALID_FIELD."""
    end = parse_moment("end", request.end) if request.HasField("end") else now
    return parse_moment("start", request.start), end, request.endpoint_id or None


def render_endpoint(endpoint: Endpoint, *, secret: str | None = None) -> webhook_endpoint_pb2.WebhookEndpoint:
    """Returns an endpoint as its owner sees it, with a secret only where that was just made."""
    return webhook_endpoint_pb2.WebhookEndpoint(
        id=endpoint.endpoint_id,
        url=endpoint.url,
        events=endpoint.events,
        description=endpoint.description,
        enabled=endpoint.is_enabled,
        disabled_reason=endpoint.disabled_reason,
        created_at=rfc3339(endpoint.created_at),
        updated_at=rfc3339(endpoint.updated_at),
        secret=secret,
        rotating=endpoint.is_rotating,
    )


def render_signing(signing: Signing) -> signing_secret_service_pb2.Signing:
    """Returns how an account's callbacks are signed, as operators see it."""
    return signing_secret_service_pb2.Signing(
        account_id=signing.account_id,
        environment=environment_value(signing.environment),
        signing=signing.is_signing,
        rotating=signing.is_rotating,
        previous_until=_moment(signing.previous_until),
    )


def render_delivery_id(key: DeliveryKey) -> str:
    """Returns the id that parse_delivery_id takes."""
    return f"{key.job_id}.{key.sequence}.{key.target_id}"


def render_delivery(
    delivery: ListedDelivery, attempts: Iterable[PastAttempt] = ()
) -> webhook_delivery_pb2.WebhookDelivery:
    """Returns a delivery as its owner sees it."""
    key = delivery.key
    return webhook_delivery_pb2.WebhookDelivery(
        id=render_delivery_id(key),
        event_id=delivery.event_id,
        event_type=delivery.type,
        job_id=key.job_id,
        endpoint_id=None if key.target_id == CALLBACK_TARGET else key.target_id,
        url=delivery.url,
        status=delivery.status,
        attempt_count=delivery.attempt_count,
        next_attempt_at=_moment(delivery.next_attempt_at),
        created_at=rfc3339(delivery.accepted_at),
        ended_at=_moment(delivery.ended_at),
        attempts=map(_render_attempt, attempts),
    )


def render_redelivery(redelivery: Redelivery) -> webhook_delivery_pb2.WebhookRedelivery:
    """Returns a task as its owner sees it."""
    return webhook_delivery_pb2.WebhookRedelivery(
        id=redelivery.redelivery_id,
        status="running" if redelivery.ended_at is None else "done",
        start=rfc3339(redelivery.start_at),
        end=rfc3339(redelivery.end_at),
        endpoint_id=redelivery.endpoint_id,
        examined_count=redelivery.examined_count,
        redelivered_count=redelivery.redelivered_count,
        created_at=rfc3339(redelivery.created_at),
        ended_at=_moment(redelivery.ended_at),
    )


def render_listener(listener: Listener, *, secret: str | None = None) -> webhook_listener_pb2.WebhookListener:
    """Returns a listener as its owner sees it, with the secret only where that was just made."""
    return webhook_listener_pb2.WebhookListener(
        id=listener.listener_id,
        events=listener.events,
        created_at=rfc3339(listener.created_at),
        expires_at=rfc3339(listener.expires_at),
        secret=secret,
    )


def render_heard(heard: Heard, *, secret: str, sent_at: int) -> webhook_listener_pb2.WebhookListenerDelivery:
    """Returns a webhook as it would be posted at the moment `sent_at`, in Unix seconds."""
    headers = render_headers(heard, secrets=[secret], sent_at=sent_at)
    return webhook_listener_pb2.WebhookListenerDelivery(
        sequence=heard.number,
        event_id=heard.event_id,
        event_type=heard.type,
        created_at=rfc3339(heard.accepted_at),
        headers=(
            webhook_listener_pb2.WebhookHeader(name=name, value=value) for name, value in headers.items()
        ),
        # The jobs service sends nothing but UTF-8.
        body=heard.body.decode(errors="replace"),
    )


def render_test_event(contract: str, test_id: str, moment: datetime) -> bytes:
    """Returns the body of a test event, in the shape that the contract's events have."""
    data: dict[str, object] = {"id": test_id, "status": "test", "created_at": rfc3339(moment)}
    body: dict[str, object] = {"data": data}
    if contract == "nextapi":
        event = {"id": f"evt_{test_id}_1", "type": TEST_EVENT, "created_at": rfc3339(moment), "sequence": 1}
        body = {**event, **body}
    return json.dumps(body, separators=(",", ":")).encode()


def _render_attempt(attempt: PastAttempt) -> webhook_delivery_pb2.WebhookAttempt:
    return webhook_delivery_pb2.WebhookAttempt(
        number=attempt.number,
        started_at=rfc3339(attempt.started_at),
        latency_ms=attempt.latency_ms,
        status=attempt.status,
        response=None if attempt.excerpt is None else attempt.excerpt.decode(errors="replace"),
        error=attempt.error,
    )


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
