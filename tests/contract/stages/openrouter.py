"""How OpenRouter puts it."""

import time

from services.upstream.provider import Order
from services.upstream.providers.openrouter.adapter import KIND
from tests.contract.stages.stage import Callback, Stage, recorded, varied
from tests.fakes.faithful_server import KEY
from tests.fakes.openrouter_server import SECRET, OpenRouterServer, signed
from tests.fakes.provider_server import Reply

ORDER = Order(
    model="bytedance/seedance-2.0",
    prompt="a boat in a storm",
    duration_seconds=4,
    resolution="480p",
    aspect_ratio="16:9",
    generate_audio=False,
    watermark=False,
    return_last_frame=False,
    seed=7,
)
EVENT = recorded("openrouter", "callback").payload


def task(status: str, **more: object) -> Reply:
    return Reply(body={"id": OpenRouterServer.FIRST_ID, "status": status, **more})


def failed(status: int, **headers: str) -> Reply:
    return Reply(status=status, body={"error": {"code": status, "message": "Words"}}, headers=headers)


def callbacks(_: OpenRouterServer) -> tuple[Callback, ...]:
    return tuple(
        Callback(body=EVENT, headers=signed(EVENT, at=time.time() + skew)) for skew in (-290, 0, 290)
    )


def forgeries(_: OpenRouterServer) -> tuple[Callback, ...]:
    now = time.time()
    return (
        Callback(body=EVENT),
        Callback(body=EVENT + b" ", headers=signed(EVENT, at=now)),
        Callback(body=EVENT, headers=signed(EVENT, at=now, joint=".")),
        Callback(body=EVENT, headers=signed(EVENT, at=now - 310)),
        Callback(body=EVENT, headers=signed(EVENT, at=now, secret="another")),
    )


STAGE = Stage(
    kind=KIND,
    server=OpenRouterServer,
    order=ORDER,
    orders=tuple(varied(ORDER, KIND.features)),
    task_id=OpenRouterServer.FIRST_ID,
    api_key=KEY,
    situations={
        "accepted": (recorded("openrouter", "created", status=202),),
        "refused_parameters": (recorded("openrouter", "error", status=400),),
        "refused_content": (recorded("openrouter", "moderation", status=403),),
        "unknown_model": (failed(404),),
        "busy": (failed(429),),
        "busy_for_7_seconds": (failed(429, **{"Retry-After": "7"}),),
        "bad_credential": (failed(401),),
        "no_money": (failed(402),),
        "broken_inside": (failed(502),),
        "queued": (recorded("openrouter", "queued"),),
        "running": (recorded("openrouter", "running"),),
        "new_status": (task("polishing"),),
        "succeeded": (recorded("openrouter", "succeeded"),),
        "succeeded_without_media": (task("completed", unsigned_urls=[]),),
        "failed_content": (recorded("openrouter", "failed"),),
        "failed_inside": (task("failed", error="Provider returned an internal error"),),
        "failed_unexplained": (task("failed", error="Odd"),),
        "expired": (recorded("openrouter", "expired"),),
        "cancelled": (recorded("openrouter", "cancelled"),),
        "forgotten": (failed(404),),
        "keeps_running": (recorded("openrouter", "queued"),),
    },
    lacks={
        "stops_queued": "no task can be stopped",
        "listed": "no tasks are listed",
        "not_listed": "no tasks are listed",
    },
    opened_with=lambda _: {"callback_secret": SECRET},
    callbacks=callbacks,
    forgeries=forgeries,
    signs=True,
)
