"""The eight tools: what each says of itself, and what it does with a caller's key."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from services.common.ids import new_id
from services.mcp.calls import Calls, Refused
from services.mcp.contracts import SEEDANCEE2, Contract, Seedancee2, contract_for
from services.mcp.methods import GET_BALANCE, GET_MODEL, GET_USAGE, LIST_MODELS
from services.mcp.shapes import (
    Balance,
    Models,
    Nothing,
    One,
    Ordered,
    Page,
    Price,
    Range,
    Usage,
    Video,
    Videos,
    Wanted,
    Watched,
)

ANSWER_SECONDS: Final = 4.0
"""How long a call that waits may take beyond its wait."""
AGAIN: Final = "Not finished. Call get_video with this id and wait_seconds 45, as often as it takes."
TOOL_SECONDS: Final = 49.0
"""How long a tool may take in all: clients give it up soon after."""


@dataclass(frozen=True)
class Asked:
    """One use of a tool: who asks, and the way to the API."""

    calls: Calls
    key: str

    @property
    def contract(self) -> Contract:
        """The contract of the key."""
        return contract_for(self.key)

    async def call(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Calls the API with the key."""
        return await self.calls(*arguments, key=self.key, **options)

    def seedancee2(self) -> Seedancee2:
        """Returns the contract if it has models, prices and usage. Raises Refused."""
        if self.contract is not SEEDANCEE2:
            raise Refused(
                "not_found", "NextAPI has no models, prices or usage to ask for. Look at its documentation."
            )
        return SEEDANCEE2


@dataclass(frozen=True)
class Tool:
    """One tool."""

    name: str
    says: str
    takes: type[BaseModel]
    answers: type[BaseModel]
    does: Callable[[Asked, Any], Awaitable[BaseModel]]
    reads: bool = True
    """Whether it changes nothing."""
    repeats: bool = True
    """Whether doing it twice does no more than once."""
    for_nextapi: bool = True
    """Whether NextAPI has what it needs."""


async def _list_models(asked: Asked, _: Nothing) -> Models:
    asked.seedancee2()
    listed = await asked.call(LIST_MODELS, {})
    found = await asyncio.gather(*(asked.call(GET_MODEL, {"id": each["id"]}) for each in listed["data"]))
    return Models(models=[each["data"] for each in found])


async def _estimate_video(asked: Asked, wanted: Wanted) -> Price:
    contract = asked.seedancee2()
    answer = await asked.call(contract.estimate, contract.body(wanted))
    return Price.model_validate(answer["data"])


async def _generate_video(asked: Asked, order: Ordered) -> Video:
    clock = asyncio.get_running_loop().time
    latest = clock() + TOOL_SECONDS
    if order.max_credits is not None:
        await _refuse_dearer(asked, order, order.max_credits)
    contract = asked.contract
    answer = await asked.call(
        contract.create, contract.body(order), idempotency_key=order.request_id or new_id("mcp")
    )
    created = _told(contract.video(answer))
    seconds = int(min(order.wait_seconds, latest - clock() - ANSWER_SECONDS))
    if seconds <= 0:
        return created
    try:
        return await _watched(asked, created.id, seconds)
    except Refused:
        # What was accepted is told, whatever becomes of the waiting.
        return created


async def _refuse_dearer(asked: Asked, order: Ordered, most: float) -> None:
    if asked.contract is not SEEDANCEE2:
        raise Refused(
            "invalid_request",
            "max_credits needs a price, and NextAPI tells none beforehand. Leave it out, or set a spend limit on the key.",
        )
    price = await _estimate_video(asked, order)
    if price.credits > most:
        raise Refused(
            "above_max_credits",
            f"It would cost {price.credits:g} credits, which is more than {most:g}. Nothing was created."
            " Raise max_credits, or choose a shorter duration, a lower resolution or another model.",
        )


async def _get_video(asked: Asked, watched: Watched) -> Video:
    return await _watched(asked, watched.id, watched.wait_seconds)


async def _watched(asked: Asked, video_id: str, seconds: int) -> Video:
    fields = {"id": video_id, **({"wait": seconds} if seconds else {})}
    answer = await asked.call(asked.contract.get, fields, seconds=seconds + ANSWER_SECONDS)
    return _told(asked.contract.video(answer))


def _told(video: Video) -> Video:
    """Returns the video with what to do next."""
    return video if video.finished else video.model_copy(update={"next": AGAIN})


async def _list_videos(asked: Asked, page: Page) -> Videos:
    contract = asked.contract
    return contract.videos(await asked.call(contract.listing, contract.query(page)))


async def _cancel_video(asked: Asked, one: One) -> Video:
    contract = asked.contract
    return contract.video(await asked.call(contract.cancel, {"id": one.id}))


async def _get_balance(asked: Asked, _: Nothing) -> Balance:
    answer = await asked.call(GET_BALANCE, {})
    return Balance.model_validate(answer["data"])


async def _get_usage(asked: Asked, asked_range: Range) -> Usage:
    asked.seedancee2()
    answer = await asked.call(GET_USAGE, asked_range.model_dump(exclude_none=True))
    return Usage.model_validate(answer["data"])


TOOLS: Final = (
    Tool(
        "list_models",
        "List the models with their prices in credits per second of video, resolutions, durations and abilities.",
        Nothing,
        Models,
        _list_models,
        for_nextapi=False,
    ),
    Tool(
        "estimate_video",
        "Tell what a video would cost, and whether the balance covers it. Spends nothing. Takes the arguments of"
        " generate_video that describe the video.",
        Wanted,
        Price,
        _estimate_video,
        for_nextapi=False,
    ),
    Tool(
        "generate_video",
        "Make a video. SPENDS CREDITS, as many as estimate_video tells; a failed video costs nothing. Returns an id at"
        " once, or with wait_seconds perhaps the finished video.",
        Ordered,
        Video,
        _generate_video,
        reads=False,
        repeats=False,
    ),
    Tool(
        "get_video",
        "Tell where a video is in its making. Finished ones have video_url.",
        Watched,
        Video,
        _get_video,
    ),
    Tool("list_videos", "List videos, newest first.", Page, Videos, _list_videos),
    Tool(
        "cancel_video",
        "Stop a video that is not finished, where that is still possible. Its credits come back.",
        One,
        Video,
        _cancel_video,
        reads=False,
    ),
    Tool(
        "get_balance",
        "Tell how many credits can be spent, and how many are held.",
        Nothing,
        Balance,
        _get_balance,
    ),
    Tool(
        "get_usage",
        "Count videos and credits in a time, in all, by model and by day.",
        Range,
        Usage,
        _get_usage,
        for_nextapi=False,
    ),
)
"""What there is, in the order in which it is listed."""
