"""How ModelArk puts it."""

from dataclasses import replace

from services.upstream.provider import Order
from services.upstream.providers.ark.adapter import KIND
from tests.contract.stages.stage import Callback, Stage, no_wait, recorded, varied
from tests.fakes.ark_server import ArkServer, failed
from tests.fakes.provider_server import Reply

ORDER = Order(
    model="dreamina-seedance-2-0-mini-260615",
    prompt="a boat in a storm",
    duration_seconds=4,
    resolution="480p",
    aspect_ratio="16:9",
    generate_audio=False,
    watermark=False,
    return_last_frame=False,
    seed=7,
)
QUEUED, RUNNING = recorded("ark", "queued"), recorded("ark", "running")
TASK_ID = "cgt-20260301080000-a1b2c"


def task(status: str, **more: object) -> Reply:
    return Reply(body={"id": TASK_ID, "status": status, **more})


STAGE = Stage(
    kind=KIND,
    server=ArkServer,
    order=ORDER,
    orders=(
        *varied(ORDER, KIND.features),
        *(
            replace(ORDER, options={name: value})
            for name, values in KIND.options.items()
            for value in sorted(values)
        ),
    ),
    task_id=TASK_ID,
    opened_with=lambda _: {"sleep": no_wait},
    situations={
        "accepted": (recorded("ark", "created"),),
        "refused_parameters": (recorded("ark", "error", status=400),),
        "refused_content": (failed(400, "InputTextSensitiveContentDetected"),),
        "unknown_model": (failed(404, "InvalidEndpointOrModel.NotFound"),),
        "busy": (failed(429, "ServerOverloaded"),),
        "busy_for_7_seconds": (
            Reply(status=429, body=failed(429, "RequestBurstTooFast").body, headers={"Retry-After": "7"}),
        ),
        "bad_credential": (failed(401, "AuthenticationError"),),
        "no_money": (failed(403, "AccountOverdueError"),),
        "broken_inside": (failed(500, "InternalServiceError"),),
        "queued": (QUEUED,),
        "running": (RUNNING,),
        "new_status": (task("polishing"),),
        "succeeded": (recorded("ark", "succeeded"),),
        "succeeded_without_media": (task("succeeded", content={"video_url": None}),),
        "failed_content": (recorded("ark", "failed"),),
        "failed_inside": (task("failed", error={"code": "InternalServiceError", "message": "Words"}),),
        "failed_unexplained": (task("failed", error={"code": "Odd"}),),
        "expired": (recorded("ark", "expired"),),
        "cancelled": (recorded("ark", "cancelled"),),
        "forgotten": (failed(404, "NotFound.Task"),),
        "stops_queued": (QUEUED, Reply(body={})),
        "keeps_running": (QUEUED, failed(409, "InvalidAction.RunningTaskDeletion"), RUNNING),
        "listed": (recorded("ark", "listing"),),
        "not_listed": (Reply(body={"items": [], "total": 0}),),
    },
    callbacks=lambda _: tuple(
        Callback(body=recorded("ark", name).payload) for name in ("queued", "running", "succeeded", "failed")
    ),
)
