"""What the generator of requests cannot know: that a creation has to end cheaply. It runs in the tools' environment."""

from itertools import count
from os import getpid
from typing import Any

import schemathesis

NUMBERS = count()
PROMPT_LENGTH_MAX = 9_000
OUTCOME = " [simulate: fail]"
CREATIONS = ("/v1/videos/generations", "/v1/video/generations")


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Gives each POST a key of its own, and each prompt an outcome that renders nothing."""
    if case.method == "POST":
        case.headers["Idempotency-Key"] = f"generated-{getpid()}-{next(NUMBERS)}"
    body = case.body
    if case.operation.path in CREATIONS and isinstance(body, dict):
        asked = body.get("input", body)
        if isinstance(asked, dict) and isinstance(asked.get("prompt"), str) and asked["prompt"].strip():
            asked["prompt"] = asked["prompt"][:PROMPT_LENGTH_MAX].removesuffix(OUTCOME) + OUTCOME
