"""How fal puts it."""

import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.upstream.provider import Order
from services.upstream.providers.fal.adapter import KIND
from tests.contract.stages.stage import Callback, Stage, recorded, varied
from tests.fakes.fal_server import API_KEY, APP, FalServer, Request, signed, task_id_of
from tests.fakes.provider_server import Reply

ORDER = Order(
    model=APP,
    prompt="a boat in a storm",
    duration_seconds=4,
    resolution="480p",
    aspect_ratio="16:9",
    generate_audio=False,
    watermark=False,
    return_last_frame=False,
    seed=7,
)
REQUEST_ID = "80e732af-660e-45cd-bd63-580e4f2a94cc"
QUEUED, RUNNING = recorded("fal", "queued"), recorded("fal", "running")
COMPLETED = recorded("fal", "completed")
CANCELLED = recorded("fal", "cancelled", status=499)
FORGOTTEN = recorded("fal", "not_found", status=404)
STOPPING = recorded("fal", "cancellation_requested", status=202)
NO_LIST = "fal lists no requests and keeps nothing of ours with them"


def failed(status: int, kind: str) -> Reply:
    return Reply(status=status, body={"detail": [{"loc": ["body"], "msg": "Words", "type": kind}]})


def said(status: int, detail: str, **headers: str) -> Reply:
    return Reply(status=status, body={"detail": detail}, headers=headers)


def callbacks(server: FalServer) -> tuple[Callback, ...]:
    return tuple(
        Callback(
            body=body, headers=signed(body, request_id=REQUEST_ID, at=time.time() + skew, key=server.key)
        )
        for body in (recorded("fal", name).payload for name in ("callback", "callback_error"))
        for skew in (-290, 0, 290)
    )


def forgeries(server: FalServer) -> tuple[Callback, ...]:
    request = Request(request_id=REQUEST_ID, endpoint=APP, input={}, webhook=None)
    request.complete()
    headers, body = server.callback(request, at=time.time())
    stale, _ = server.callback(request, at=time.time() - 310)
    strange, _ = server.callback(request, at=time.time(), key=Ed25519PrivateKey.generate())
    return (
        Callback(body=body),
        Callback(body=body + b" ", headers=headers),
        Callback(body=body, headers=stale),
        Callback(body=body, headers=strange),
    )


STAGE = Stage(
    kind=KIND,
    server=FalServer,
    order=ORDER,
    orders=tuple(varied(ORDER, KIND.features)),
    task_id=task_id_of(REQUEST_ID),
    api_key=API_KEY,
    opened_with=lambda server: {"keys_url": server.keys_url},
    situations={
        "accepted": (recorded("fal", "created"),),
        "refused_parameters": (recorded("fal", "invalid", status=422),),
        "refused_content": (recorded("fal", "model_error", status=422),),
        "unknown_model": (said(404, "Application 'x' not found"),),
        "busy": (said(429, "Too many concurrent requests"),),
        "busy_for_7_seconds": (said(429, "Too many concurrent requests", **{"Retry-After": "7"}),),
        "bad_credential": (said(401, "Authentication is required to access this application"),),
        "no_money": (said(403, "User is locked. Reason: Exhausted balance. Top up your balance."),),
        "broken_inside": (said(500, "Internal Server Error"),),
        "queued": (QUEUED,),
        "running": (RUNNING,),
        "new_status": (Reply(status=202, body={"status": "WARMING_UP"}),),
        "succeeded": (COMPLETED, recorded("fal", "result")),
        "succeeded_without_media": (COMPLETED, Reply(body={"video": None, "seed": 7})),
        "failed_content": (
            recorded("fal", "completed_with_error"),
            recorded("fal", "model_error", status=422),
        ),
        "failed_inside": (COMPLETED, failed(500, "internal_server_error")),
        "failed_unexplained": (COMPLETED, failed(422, "odd")),
        "expired": (
            COMPLETED,
            recorded("fal", "request_error", status=504, **{"X-Fal-Request-Timeout-Type": "user"}),
        ),
        "cancelled": (COMPLETED, CANCELLED),
        "forgotten": (FORGOTTEN,),
        "stops_queued": (QUEUED, STOPPING, COMPLETED, CANCELLED),
        "keeps_running": (QUEUED, STOPPING, RUNNING),
    },
    lacks={"listed": NO_LIST, "not_listed": NO_LIST},
    callbacks=callbacks,
    forgeries=forgeries,
    signs=True,
)
