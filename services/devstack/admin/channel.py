"""How operators' commands call services."""

from functools import partial
from typing import Final

from services.common.client import open_channel

ANSWER_SECONDS_MAX: Final = 30.0
"""Somebody waits at a terminal: better late, on a busy machine, than not at all."""

open_admin_channel = partial(open_channel, timeout_seconds=ANSWER_SECONDS_MAX)
