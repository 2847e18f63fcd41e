"""How OpenAI's video API and its imitators put it, in the dialect that can say most."""

from functools import partial

from services.upstream.provider import Order
from services.upstream.providers.openai_videos.adapter import KIND
from tests.contract.stages.stage import Stage, recorded, varied
from tests.fakes.faithful_server import KEY
from tests.fakes.openai_videos_server import OpenAIVideosServer
from tests.fakes.provider_server import Reply

ORDER = Order(
    model="dreamina-seedance-2-0-260128",
    prompt="a boat in a storm",
    duration_seconds=4,
    resolution="480p",
    aspect_ratio="16:9",
    generate_audio=False,
    watermark=False,
    return_last_frame=False,
    seed=7,
    options={"dialect": "new-api"},
)


def task(status: str, **more: object) -> Reply:
    return Reply(body={"id": OpenAIVideosServer.FIRST_ID, "object": "video", "status": status, **more})


def failed(status: int, code: str, **headers: str) -> Reply:
    error = {"message": "Words", "type": "invalid_request_error", "param": None, "code": code}
    return Reply(status=status, body={"error": error}, headers=headers)


STAGE = Stage(
    kind=KIND,
    server=partial(OpenAIVideosServer, dialect="new-api"),
    order=ORDER,
    orders=tuple(varied(ORDER, KIND.features)),
    task_id=OpenAIVideosServer.FIRST_ID,
    api_key=KEY,
    situations={
        "accepted": (recorded("openai_videos", "created"),),
        "refused_parameters": (recorded("openai_videos", "error", status=400),),
        "refused_content": (failed(400, "moderation_blocked"),),
        "unknown_model": (failed(404, "model_not_found"),),
        "busy": (failed(429, "rate_limit_exceeded"),),
        "busy_for_7_seconds": (failed(429, "rate_limit_exceeded", **{"Retry-After": "7"}),),
        "bad_credential": (failed(401, "invalid_api_key"),),
        "no_money": (failed(429, "insufficient_quota"),),
        "broken_inside": (failed(500, "server_error"),),
        "queued": (recorded("openai_videos", "queued"),),
        "running": (recorded("openai_videos", "running"),),
        "new_status": (task("polishing"),),
        "succeeded": (recorded("openai_videos", "new_api_succeeded"),),
        "succeeded_without_media": (task("completed", videos=[]),),
        "failed_content": (recorded("openai_videos", "failed"),),
        "failed_inside": (task("failed", error={"code": "internal_error", "message": "Words"}),),
        "failed_unexplained": (task("failed", error={"code": "odd"}),),
        "expired": (task("expired"),),
        "cancelled": (task("cancelled"),),
        "forgotten": (failed(404, "not_found"),),
        "keeps_running": (recorded("openai_videos", "queued"),),
    },
    lacks={
        "stops_queued": "no task can be stopped",
        "listed": "listed tasks keep no correlation id",
        "not_listed": "what a gateway lists may not be all there is",
    },
)
