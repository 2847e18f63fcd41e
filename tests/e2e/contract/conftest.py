"""One account whose jobs end in every way there is. They run side by side, and all tests look at the same ones."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest_asyncio

from tests.e2e.customer import ENDED, SMALL, VIDEOS, Customer, open_customer
from tests.e2e.edge.client import Answer
from tests.e2e.local_stack import Account, Stack
from tests.e2e.receiver import Receiver
from tests.patience import PATIENCE_SECONDS

CREDITS_GRANTED = 1000

METADATA: dict[str, Any] = {
    "customer_job_id": "job_123",
    "campaign": 'Frühling <&> \u2028 "quoted" \\ 雪',
    "": [],
    "nested": {
        "a": [None, True, False, {"b": {}}],
        "zero": 0,
        "half": -0.5,
        "large": 2**53 - 1,
        "tiny": 1e-7,
    },
}
"""As deep as it may be."""
FAILURES = {
    "fail": ("generation_failed", "[simulate: fail]"),
    "moderated_prompt": ("content_policy_violation", "[simulate: moderated prompt]"),
    "moderated_video": ("content_policy_violation", "[simulate: moderated video]"),
    "bad_image": ("input_media_error", "[simulate: bad image]"),
    "expire": ("timeout", "[simulate: expire]"),
}
"""Error code and prompt of each job that fails."""
UNFINISHED = {"pending": "[simulate: overload 9999]", "processing": "[simulate: slow 9999]"}
"""Prompts of jobs that stay in a status for as long as anybody looks."""
CREDITS = {"minimal": 50, "full": 40, "frames": 32, **dict.fromkeys([*FAILURES, *UNFINISHED], 20)}
"""What each job costs, in the order of their creation."""
COMPLETED = ("minimal", "full", "frames")


@dataclass(frozen=True, kw_only=True)
class History:
    """The jobs of one account by name, in the order of their creation, after all that can end have ended."""

    account: Account
    customer: Customer
    """Of the live environment, like all these jobs."""
    receiver: Receiver
    created: Mapping[str, dict[str, Any]]
    """The `data` of each creation."""
    polls: Mapping[str, Answer]

    def video(self, name: str) -> Any:
        """Returns the `data` of the last poll."""
        return self.polls[name].json["data"]


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def receiver() -> AsyncIterator[Receiver]:
    """What customers of these tests run themselves."""
    async with Receiver().listening() as listening:
        yield listening


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def history(stack: Stack, receiver: Receiver) -> AsyncIterator[History]:
    """Jobs that cost CREDITS, three completed, five failed, one pending, one processing."""
    account = stack.create_account("history", credits_each=str(CREDITS_GRANTED))
    async with open_customer(stack.edge, account.keys["live"]) as customer:
        created = {name: await customer.create(body) for name, body in requests(receiver).items()}
        waits = (
            customer.until(video["id"], {name} if name in UNFINISHED else ENDED, seconds=PATIENCE_SECONDS)
            for name, video in created.items()
        )
        polls = dict(zip(created, await asyncio.gather(*waits), strict=True))
        yield History(account=account, customer=customer, receiver=receiver, created=created, polls=polls)


def requests(receiver: Receiver) -> dict[str, dict[str, Any]]:
    """Returns what is asked for under each name of CREDITS."""
    wanted: dict[str, dict[str, Any]] = {
        "minimal": {"model": "mini", "input": {"prompt": "A paper boat sails down a rainy street"}},
        "full": full_request(receiver),
        "frames": {
            "model": "fast",
            "input": {
                "prompt": "From red to blue",
                "generation_type": "first_and_last_frames",
                "start_image_url": receiver.image("red"),
                "end_image_url": receiver.image("blue"),
                "aspect_ratio": "adaptive",
                **SMALL,
            },
        },
    }
    directives = {**{name: prompt for name, (_, prompt) in FAILURES.items()}, **UNFINISHED}
    for name, prompt in directives.items():
        wanted[name] = {
            "model": "mini",
            "input": {"prompt": prompt, **SMALL},
            "callback_url": receiver.hook(name),
            "metadata": {"name": name} if name in FAILURES else {},
        }
    assert list(wanted) == list(CREDITS)
    return wanted


def full_request(receiver: Receiver) -> dict[str, Any]:
    """Returns a request with every field that may stand beside the others."""
    return {
        "model": "pro",
        "callback_url": receiver.hook("full"),
        "input": {
            "prompt": "A cinematic tracking shot through a rain-soaked neon market at night",
            "generation_type": "omni_reference",
            "image_urls": [receiver.image("green"), receiver.image("yellow")],
            "video_urls": ["https://example.com/reference.mp4"],
            "audio_urls": ["https://example.com/reference.mp3"],
            "aspect_ratio": "9:16",
            "generate_audio": True,
            "watermark": True,
            "seed": 2**31 - 1,
            "return_last_frame": True,
            **SMALL,
        },
        "metadata": METADATA,
    }


def path_of(video: Mapping[str, Any]) -> str:
    """Returns the path of a poll."""
    return f"{VIDEOS}/{video['id']}"
