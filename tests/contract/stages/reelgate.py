"""How another Reelgate puts it."""

import json
import time

from services.upstream.provider import Order
from services.upstream.providers.reelgate.adapter import KIND
from tests.contract.stages.stage import Callback, Stage, recorded, varied
from tests.fakes.faithful_server import KEY
from tests.fakes.provider_server import Reply
from tests.fakes.reelgate_server import SECRET, ReelgateServer, signed

ORDER = Order(
    model="seedance-2.0-pro",
    prompt="a boat in a storm",
    duration_seconds=4,
    resolution="480p",
    aspect_ratio="16:9",
    generate_audio=False,
    watermark=False,
    return_last_frame=False,
    seed=7,
)
QUEUED, RUNNING = recorded("reelgate", "queued"), recorded("reelgate", "running")
SUCCEEDED, CANCELED = recorded("reelgate", "succeeded"), recorded("reelgate", "canceled")
EVENT = recorded("reelgate", "event").payload
ANOTHER_SECRET = "whsec_YW5vdGhlciBzZWNyZXQ="


def job(reply: Reply, **changes: object) -> Reply:
    return Reply(body={**json.loads(reply.payload), **changes})


def failed(status: int, code: str, **headers: str) -> Reply:
    return Reply(status=status, body={"error": {"code": code, "message": "Words"}}, headers=headers)


def callbacks(_: ReelgateServer) -> tuple[Callback, ...]:
    """Signed just now, nearly too early and too late, and while the secret is being changed."""
    now = time.time()
    signatures = [signed(EVENT, at=now + skew) for skew in (-290, 0, 290)]
    signatures.append(signed(EVENT, at=now, before=ANOTHER_SECRET))
    return tuple(Callback(body=EVENT, headers=each) for each in signatures)


def forgeries(_: ReelgateServer) -> tuple[Callback, ...]:
    now = time.time()
    genuine = signed(EVENT, at=now)["x-nextapi-signature"]
    return (
        Callback(body=EVENT),
        Callback(body=EVENT + b" ", headers={"x-nextapi-signature": genuine}),
        Callback(body=EVENT, headers={"x-nextapi-signature": genuine.replace("t=", "t=1")}),
        Callback(body=EVENT, headers={"x-nextapi-signature": genuine.partition(",")[2]}),
        Callback(body=EVENT, headers={"x-nextapi-signature": genuine.partition(",")[0]}),
        Callback(body=EVENT, headers=signed(EVENT, at=now - 310)),
        Callback(body=EVENT, headers=signed(EVENT, at=now, secret=ANOTHER_SECRET)),
    )


STAGE = Stage(
    kind=KIND,
    server=ReelgateServer,
    order=ORDER,
    # Both contracts of Reelgate ask for two frames or for none.
    orders=tuple(
        order
        for order in varied(ORDER, KIND.features)
        if (order.start_image_url is None) == (order.end_image_url is None)
    ),
    task_id=ReelgateServer.FIRST_ID,
    api_key=KEY,
    opened_with=lambda _: {"callback_secret": SECRET},
    situations={
        "accepted": (recorded("reelgate", "created"),),
        "refused_parameters": (recorded("reelgate", "error", status=400),),
        "refused_content": (recorded("reelgate", "refused_prompt", status=400),),
        "unknown_model": (failed(404, "not_found"),),
        "busy": (failed(429, "rate_limit_exceeded"),),
        "busy_for_7_seconds": (failed(429, "rate_limit_exceeded", **{"Retry-After": "7"}),),
        "bad_credential": (failed(401, "unauthorized"),),
        "no_money": (failed(402, "insufficient_credits"),),
        "broken_inside": (failed(500, "internal_error"),),
        "queued": (QUEUED,),
        "running": (RUNNING,),
        "new_status": (job(QUEUED, status="polishing"),),
        "succeeded": (SUCCEEDED,),
        "succeeded_without_media": (job(SUCCEEDED, video_url=None),),
        "failed_content": (recorded("reelgate", "failed"),),
        "failed_unexplained": (recorded("reelgate", "failed_unexplained"),),
        "expired": (recorded("reelgate", "expired"),),
        "cancelled": (CANCELED,),
        "forgotten": (failed(404, "not_found"),),
        "stops_queued": (QUEUED, CANCELED),
        "keeps_running": (RUNNING, failed(409, "conflict")),
        "listed": (recorded("reelgate", "listing"),),
        "not_listed": (Reply(body={"data": [], "limit": 100, "offset": 0, "has_more": False}),),
    },
    lacks={
        "failed_inside": "the contract tells customers no more than that the video could not be generated"
    },
    callbacks=callbacks,
    forgeries=forgeries,
    signs=True,
)
