"""Client of Reelgate: create videos, wait for them, verify webhooks."""

from reelgate_client import webhooks
from reelgate_client.account import Upload
from reelgate_client.client import AsyncNextAPI, AsyncSeedancee2, NextAPI, Seedancee2, connect
from reelgate_client.core import VERSION, RawResponse
from reelgate_client.drivers import Async, Sync
from reelgate_client.errors import (
    AuthenticationError,
    ConflictError,
    ConnectionFailedError,
    InsufficientCreditsError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ReelgateError,
    ServerError,
    SignatureError,
    VideoFailedError,
    WaitInterrupted,
    WaitTimeoutError,
)
from reelgate_client.events import Event
from reelgate_client.videos import Video

__all__ = [
    "VERSION",
    "Async",
    "AsyncNextAPI",
    "AsyncSeedancee2",
    "AuthenticationError",
    "ConflictError",
    "ConnectionFailedError",
    "Event",
    "InsufficientCreditsError",
    "InvalidRequestError",
    "NextAPI",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "RawResponse",
    "ReelgateError",
    "Seedancee2",
    "ServerError",
    "SignatureError",
    "Sync",
    "Upload",
    "Video",
    "VideoFailedError",
    "WaitInterrupted",
    "WaitTimeoutError",
    "connect",
    "webhooks",
]
