"""How Veo puts it."""

from services.upstream.pictures import Picture
from services.upstream.provider import Order
from services.upstream.providers.veo.adapter import KIND
from tests.contract.stages.stage import Stage, recorded, varied
from tests.fakes.faithful_server import KEY
from tests.fakes.provider_server import Reply
from tests.fakes.veo_server import VeoServer

ORDER = Order(
    model="veo-3.1-generate-preview",
    prompt="a boat in a storm",
    duration_seconds=8,
    resolution="720p",
    aspect_ratio="16:9",
    generate_audio=True,
    watermark=False,
    return_last_frame=False,
    seed=7,
)


def done(**members: object) -> Reply:
    return Reply(body={"name": VeoServer.FIRST_ID, "done": True, **members})


def failed(status: int, name: str, message: str = "Words", **headers: str) -> Reply:
    error = {"code": status, "status": name, "message": message, "details": []}
    return Reply(status=status, body={"error": error}, headers=headers)


async def load(_url: str) -> Picture:
    return Picture(content=b"a picture", media_type="image/png")


STAGE = Stage(
    kind=KIND,
    server=VeoServer,
    order=ORDER,
    orders=tuple(varied(ORDER, KIND.features)),
    task_id=VeoServer.FIRST_ID,
    api_key=KEY,
    opened_with=lambda _: {"load": load},
    situations={
        "accepted": (recorded("veo", "created"),),
        "refused_parameters": (recorded("veo", "error", status=400),),
        "refused_content": (failed(400, "INVALID_ARGUMENT", "Blocked for safety reasons."),),
        "unknown_model": (failed(404, "NOT_FOUND"),),
        "busy": (failed(429, "RESOURCE_EXHAUSTED"),),
        "busy_for_7_seconds": (failed(429, "RESOURCE_EXHAUSTED", **{"Retry-After": "7"}),),
        "bad_credential": (recorded("veo", "wrong_key", status=400),),
        "no_money": (failed(400, "FAILED_PRECONDITION"),),
        "broken_inside": (failed(500, "INTERNAL"),),
        "running": (recorded("veo", "running"),),
        "succeeded": (recorded("veo", "succeeded"),),
        "succeeded_without_media": (done(response={}),),
        "failed_content": (recorded("veo", "filtered"),),
        "failed_inside": (recorded("veo", "failed"),),
        "failed_unexplained": (done(error={"code": 99}),),
        "forgotten": (failed(404, "NOT_FOUND"),),
        "keeps_running": (recorded("veo", "running"),),
    },
    lacks={
        "queued": "an operation does not say whether it has begun",
        "new_status": "an operation has no status",
        "expired": "an operation that ran too long failed, for a reason of the provider's",
        "cancelled": "no operation can be stopped",
        "stops_queued": "no operation can be stopped",
        "listed": "no operations are listed",
        "not_listed": "no operations are listed",
    },
)
