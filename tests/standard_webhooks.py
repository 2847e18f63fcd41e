"""Signatures of Standard Webhooks, judged as their receiver does: when they come, and not when a test looks at them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from unittest.mock import patch

import standardwebhooks.webhooks
from standardwebhooks import Webhook


def verified(body: bytes, headers: Mapping[str, str], *, secret: str, at: datetime) -> Any:
    """Returns the body as JSON. Raises WebhookVerificationError for one that was not signed so, or not then."""

    class Clock:
        @staticmethod
        def now(tz: Any = None) -> datetime:
            return at.astimezone(tz)

        fromtimestamp = datetime.fromtimestamp

    with patch.object(standardwebhooks.webhooks, "datetime", Clock):
        return Webhook(secret).verify(body, dict(headers))
