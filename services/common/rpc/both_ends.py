"""What the two ends of a call have in common. The command makes calls too, without what a server needs."""

from contextvars import ContextVar

ERROR_DOMAIN = "reelgate"
request_id: ContextVar[str] = ContextVar("request_id", default="")
