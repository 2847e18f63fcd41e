"""Wire messages to values."""

import re
from datetime import UTC, datetime

from reelgate.internal.intake.v1.event_pb2 import Event as EventMessage

from services.common.egress import URL_LENGTH_MAX
from services.common.errors import invalid_field
from services.webhooks.domain import Event

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
    if not 1 <= len(message.target_url) <= URL_LENGTH_MAX or "\0" in message.target_url:
        raise invalid_field("target_url", f"must be 1 to {URL_LENGTH_MAX} characters", message.target_url)
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
