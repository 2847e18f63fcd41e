"""How Replicate puts it."""

import json
import time

from services.upstream.provider import Order
from services.upstream.providers.replicate.adapter import KIND
from tests.contract.stages.stage import Callback, Stage, recorded, varied
from tests.fakes.provider_server import Reply
from tests.fakes.replicate_server import API_KEY, ReplicateServer, new_secret, problem, signed

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
QUEUED, RUNNING = recorded("replicate", "queued"), recorded("replicate", "running")
SUCCEEDED, CANCELLED = recorded("replicate", "succeeded"), recorded("replicate", "cancelled")


def prediction(**changes: object) -> Reply:
    return Reply(body={**json.loads(QUEUED.payload), **changes})


def callbacks(server: ReplicateServer) -> tuple[Callback, ...]:
    return tuple(
        Callback(body=body, headers=signed(body, at=time.time() + skew, secret=server.secret))
        for body in (recorded("replicate", name).payload for name in ("succeeded", "failed", "cancelled"))
        for skew in (-290, 0, 290)
    )


def forgeries(server: ReplicateServer) -> tuple[Callback, ...]:
    body, now = SUCCEEDED.payload, time.time()
    headers = signed(body, at=now, secret=server.secret)
    return (
        Callback(body=body),
        Callback(body=body + b" ", headers=headers),
        Callback(body=body, headers=headers | {"webhook-id": "msg_2"}),
        Callback(body=body, headers=signed(body, at=now - 310, secret=server.secret)),
        Callback(body=body, headers=signed(body, at=now, secret=new_secret())),
    )


STAGE = Stage(
    kind=KIND,
    server=ReplicateServer,
    order=ORDER,
    orders=tuple(varied(ORDER, KIND.features)),
    task_id="gm3qorzdhgbfurvjtvhg6dckhu",
    api_key=API_KEY,
    situations={
        "accepted": (recorded("replicate", "created", status=201),),
        "refused_parameters": (recorded("replicate", "error", status=422),),
        "unknown_model": (problem(404, "The requested resource could not be found."),),
        "busy": (problem(429, "Request was throttled."),),
        "busy_for_7_seconds": (problem(429, "Request was throttled.", retry_after=7),),
        "bad_credential": (recorded("replicate", "unauthenticated", status=401),),
        "no_money": (
            problem(402, "You have insufficient credit to run this model.", title="Insufficient credit"),
        ),
        "broken_inside": (problem(500, "Internal server error"),),
        "queued": (QUEUED,),
        "running": (RUNNING,),
        "new_status": (prediction(status="warming"),),
        "succeeded": (SUCCEEDED,),
        "succeeded_without_media": (prediction(status="succeeded"),),
        "failed_content": (recorded("replicate", "failed"),),
        "failed_inside": (prediction(status="failed", error="Prediction interrupted; please retry (E6716)"),),
        "failed_unexplained": (prediction(status="failed", error="Odd"),),
        "expired": (recorded("replicate", "removed"),),
        "cancelled": (CANCELLED,),
        "forgotten": (problem(404, "The requested resource could not be found."),),
        "stops_queued": (QUEUED, CANCELLED),
        "keeps_running": (RUNNING, SUCCEEDED),
        "not_listed": (Reply(body={"next": None, "previous": None, "results": []}),),
    },
    lacks={
        "refused_content": "moderation comes later, as a failed prediction",
        "listed": "a prediction keeps nothing of ours, so a list does not tell which one is",
    },
    callbacks=callbacks,
    forgeries=forgeries,
    signs=True,
)
