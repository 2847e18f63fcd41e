"""Client of Reelgate: create videos, wait for them, verify webhooks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reelgate_client import webhooks as webhooks
    from reelgate_client.account import Upload as Upload
    from reelgate_client.client import AsyncNextAPI as AsyncNextAPI
    from reelgate_client.client import AsyncSeedancee2 as AsyncSeedancee2
    from reelgate_client.client import NextAPI as NextAPI
    from reelgate_client.client import Seedancee2 as Seedancee2
    from reelgate_client.client import connect as connect
    from reelgate_client.core import VERSION as VERSION
    from reelgate_client.drivers import Answer as Answer
    from reelgate_client.drivers import Async as Async
    from reelgate_client.drivers import Sync as Sync
    from reelgate_client.errors import AuthenticationError as AuthenticationError
    from reelgate_client.errors import ConflictError as ConflictError
    from reelgate_client.errors import ConnectionFailedError as ConnectionFailedError
    from reelgate_client.errors import InsufficientCreditsError as InsufficientCreditsError
    from reelgate_client.errors import InvalidRequestError as InvalidRequestError
    from reelgate_client.errors import NotFoundError as NotFoundError
    from reelgate_client.errors import PermissionDeniedError as PermissionDeniedError
    from reelgate_client.errors import RateLimitError as RateLimitError
    from reelgate_client.errors import ReelgateError as ReelgateError
    from reelgate_client.errors import ServerError as ServerError
    from reelgate_client.errors import SignatureError as SignatureError
    from reelgate_client.errors import VideoFailedError as VideoFailedError
    from reelgate_client.errors import WaitInterrupted as WaitInterrupted
    from reelgate_client.errors import WaitTimeoutError as WaitTimeoutError
    from reelgate_client.events import Event as Event
    from reelgate_client.videos import Video as Video

_NAMES = {
    "webhooks": "webhooks",
    "account": "Upload",
    "client": "AsyncNextAPI AsyncSeedancee2 NextAPI Seedancee2 connect",
    "core": "VERSION",
    "drivers": "Answer Async Sync",
    "errors": "AuthenticationError ConflictError ConnectionFailedError InsufficientCreditsError InvalidRequestError NotFoundError PermissionDeniedError RateLimitError ReelgateError ServerError SignatureError VideoFailedError WaitInterrupted WaitTimeoutError",
    "events": "Event",
    "videos": "Video",
}
"""By module. Each is loaded when one of its names is used: the command line starts in a moment because of that."""
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_MODULES[name]}")
    return module if name == _MODULES[name] else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
