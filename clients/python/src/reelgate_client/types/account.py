"""What both contracts share. Generated from the OpenAPI documents."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict


class Balance(TypedDict):
    """The credits of one account in one environment."""

    available: float
    """Credits that can be spent, 0 or more."""
    held: float
    """Credits reserved for tasks that have not ended, 0 or more."""


class _CreateUploadRequest(TypedDict):
    """What is always there."""

    content_type: Literal['image/jpeg', 'image/png', 'image/webp', 'image/bmp', 'image/tiff', 'image/gif', 'video/mp4', 'video/quicktime', 'audio/wav', 'audio/mpeg']
    """Media type of the file, such as `image/png`."""


class CreateUploadRequest(_CreateUploadRequest, total=False):
    """What will be sent."""

    size_bytes: int
    """Size of the file in bytes."""


class _CreateWebhookEndpointRequest(TypedDict):
    """What is always there."""

    url: str
    """Where events are delivered: a public http(s) address of at most 2,048 characters."""


class CreateWebhookEndpointRequest(_CreateWebhookEndpointRequest, total=False):
    """What to register."""

    events: list[str]
    """The events it gets."""
    description: str
    """The customer's own note, at most 500 characters."""
    enabled: bool
    """Whether events are delivered to it."""


class CreateWebhookListenerRequest(TypedDict, total=False):
    """What the listener gets."""

    events: list[str]
    """The events it gets."""


class _CreateWebhookRedeliveryRequest(TypedDict):
    """What is always there."""

    start: str
    """First moment, by when deliveries were accepted: ISO 8601 with a time zone."""


class CreateWebhookRedeliveryRequest(_CreateWebhookRedeliveryRequest, total=False):
    """What to deliver again."""

    end: str
    """Last moment: ISO 8601 with a time zone, at most 30 days after `start`."""
    endpoint_id: str
    """Only deliveries to this endpoint."""


class DeletedUpload(TypedDict):
    """A deleted upload."""

    id: str
    """Identifier of the upload."""
    deleted: Literal[True]
    """Always true."""


class DeletedWebhookEndpoint(TypedDict):
    """A deleted endpoint."""

    id: str
    """Its identifier."""
    deleted: Literal[True]
    """Always true."""


class DeletedWebhookListener(TypedDict):
    """A listener that has ended."""

    id: str
    """Its identifier."""
    deleted: Literal[True]
    """Always true."""


class DisabledEndpoint(TypedDict):
    """An endpoint that was disabled."""

    id: str
    """Identifier: `whe_` and a lower-case ULID."""
    url: str
    """Its address."""
    enabled: Literal[False]
    disabled_reason: str
    """`gone` (it answered 410) or `failing` (it accepted nothing for 5 days)."""


class ListWebhookDeliveriesQuery(TypedDict, total=False):
    """What listWebhookDeliveries can be asked for."""

    endpoint_id: str
    """Only deliveries to this endpoint."""
    job_id: str
    """Only deliveries about this task."""
    status: Literal['pending', 'delivered', 'dead_lettered']
    """Only deliveries in this status: `pending`, `delivered` or `dead_lettered`."""
    start: str
    """Only deliveries accepted from this moment on, ISO 8601 with a time zone."""
    end: str
    """Only deliveries accepted up to this moment, ISO 8601 with a time zone."""
    limit: int
    """Most deliveries to return, 1 to 100."""
    after: str
    """Return deliveries older than the one with this identifier."""


class Progress(TypedDict):
    """How far a task is."""

    id: str
    """Identifier of the task."""
    progress: int
    """Per cent, estimated from the time it has taken."""


class ReadWebhookListenerQuery(TypedDict, total=False):
    """What readWebhookListener can be asked for."""

    after: int
    """Return what comes after this `sequence`."""
    wait: int
    """How many seconds to wait while there is nothing, 0 to 30."""
    limit: int
    """Most webhooks to return, 1 to 100."""


class TestData(TypedDict):
    """What a test event shows instead of a task."""

    id: str
    """Identifier of the test."""
    status: Literal['test']
    created_at: str
    """When the test was requested: RFC 3339, UTC, milliseconds."""


class UpdateWebhookEndpointRequest(TypedDict, total=False):
    """What to change."""

    url: str
    """As in the registration."""
    events: list[str]
    """As in the registration."""
    description: str
    """As in the registration."""
    enabled: bool
    """As in the registration."""


class _Upload(TypedDict):
    """What is always there."""

    id: str
    """Identifier: `upl_` and a lower-case ULID."""
    status: str
    """`waiting` for the file, `arrived`, or `expired`: it did not come in time."""
    url: str
    """What names the file in `image_urls`, `video_url` and every other reference field."""
    content_type: str
    """Media type that the file was announced with."""
    created_at: str
    """When the upload was created: RFC 3339, UTC, milliseconds."""
    expires_at: str
    """When it is deleted unless a task names it before: RFC 3339, UTC, milliseconds."""


class Upload(_Upload, total=False):
    """A file that a customer sends, or has sent."""

    size_bytes: int
    """Size in bytes."""
    put: UploadTarget
    """Where the file goes."""


class UploadTarget(TypedDict):
    """Where a file goes, once, by HTTP PUT."""

    url: str
    """Address to PUT the file to."""
    headers: dict[str, str]
    """Headers to send with it, by name."""
    size_bytes_max: int
    """Most bytes that the file may have."""
    expires_at: str
    """When the address expires: RFC 3339, UTC, milliseconds."""


class _WebhookAttempt(TypedDict):
    """What is always there."""

    number: int
    """Counts from 1."""
    started_at: str
    """When: RFC 3339, UTC, milliseconds."""
    latency_ms: int
    """How long it took, in milliseconds."""


class WebhookAttempt(_WebhookAttempt, total=False):
    """One try at a delivery."""

    status: int
    """HTTP status of the answer."""
    response: str
    """The first 2 KiB of the answer, as text."""
    error: str
    """Why there was no answer."""


class _WebhookDelivery(TypedDict):
    """What is always there."""

    id: str
    """Identifier."""
    event_id: str
    """The event, by the id that its receiver sees."""
    event_type: str
    """What happened, for example `video.generation.completed`."""
    job_id: str
    """The task of the event."""
    url: str
    """The address."""
    status: str
    """`pending`, `delivered` or `dead_lettered` (given up after six attempts, and replayable)."""
    attempt_count: int
    """How many attempts were made, including those before a redelivery."""
    created_at: str
    """When it was accepted: RFC 3339, UTC, milliseconds."""
    attempts: list[WebhookAttempt]
    """Every attempt, oldest first."""


class WebhookDelivery(_WebhookDelivery, total=False):
    """One event on its way to one address."""

    endpoint_id: str
    """The endpoint."""
    next_attempt_at: str
    """When the next attempt is due: RFC 3339, UTC, milliseconds."""
    ended_at: str
    """When it was delivered or given up: RFC 3339, UTC, milliseconds."""


class _WebhookEndpoint(TypedDict):
    """What is always there."""

    id: str
    """Identifier: `whe_` and a lower-case ULID."""
    url: str
    """Where events are delivered: a public http(s) address."""
    events: list[str]
    """The events it gets."""
    description: str
    """The customer's own note, up to 500 characters."""
    enabled: bool
    """Whether events are delivered to it."""
    created_at: str
    """When it was registered: RFC 3339, UTC, milliseconds."""
    updated_at: str
    """When it was last changed: RFC 3339, UTC, milliseconds."""
    rotating: bool
    """Whether a new secret waits to be confirmed: until then every delivery carries both signatures, the old first."""


class WebhookEndpoint(_WebhookEndpoint, total=False):
    """An address that gets the events of all tasks of an account and environment."""

    disabled_reason: str
    """Why it was disabled, if its owner did not do it: `gone` (it answered 410) or `failing` (it accepted nothing for 5 days)."""
    secret: str
    """The signing secret, `whsec_` and base64."""


class WebhookEndpointDisabledEvent(TypedDict):
    """Another endpoint was disabled."""

    id: str
    """Identifier of the event."""
    type: Literal['webhook_endpoint.disabled']
    created_at: str
    """When it happened: RFC 3339, UTC, milliseconds."""
    sequence: int
    """Counts the events of what `data` shows, from 1 without gaps."""
    data: DisabledEndpoint


class WebhookHeader(TypedDict):
    """One header of a request."""

    name: str
    """Its name."""
    value: str
    """Its value."""


class _WebhookListener(TypedDict):
    """What is always there."""

    id: str
    """Identifier: `whl_` and a lower-case ULID."""
    events: list[str]
    """The events that it gets."""
    created_at: str
    """When it was made: RFC 3339, UTC, milliseconds."""
    expires_at: str
    """When it ends unless it is read before: RFC 3339, UTC, milliseconds."""


class WebhookListener(_WebhookListener, total=False):
    """A place from which webhooks are fetched: for a machine that no request from outside reaches."""

    secret: str
    """The signing secret, `whsec_` and base64."""


class WebhookListenerDelivery(TypedDict):
    """One webhook, as it would be posted at this moment."""

    sequence: int
    """Its place among those of the listener: counts from 1 without gaps."""
    event_id: str
    """Identifier of the event: the same wherever it is delivered."""
    event_type: str
    """Type of the event."""
    created_at: str
    """When the event was accepted for delivery: RFC 3339, UTC, milliseconds."""
    headers: list[WebhookHeader]
    """The headers of the request, signed for this moment with the secret of the listener."""
    body: str
    """The body of the request."""


class _WebhookRedelivery(TypedDict):
    """What is always there."""

    id: str
    """Identifier: `whr_` and a lower-case ULID."""
    status: str
    """`running` or `done`."""
    start: str
    """First moment of the range, by when deliveries were accepted: RFC 3339, UTC, milliseconds."""
    end: str
    """Last moment of the range: RFC 3339, UTC, milliseconds."""
    examined_count: int
    """How many deliveries of the range were checked so far."""
    redelivered_count: int
    """How many of them were undelivered and are sent again."""
    created_at: str
    """When it was requested: RFC 3339, UTC, milliseconds."""


class WebhookRedelivery(_WebhookRedelivery, total=False):
    """A task that sends again what was not delivered in a range of time."""

    endpoint_id: str
    """Only deliveries to this endpoint."""
    ended_at: str
    """When it was done: RFC 3339, UTC, milliseconds."""
