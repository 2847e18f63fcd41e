"""How Runway puts it."""

from dataclasses import replace

from services.upstream.providers.runway.adapter import KIND
from tests.contract.stages.ark import ORDER as ANY_ORDER
from tests.contract.stages.stage import Stage, recorded, varied
from tests.fakes.provider_server import Reply
from tests.fakes.runway_server import RunwayServer, failed

ORDER = replace(ANY_ORDER, model="seedance2")
TASK_ID = "17f20503-6c24-4c16-946b-35dbbce2af2f"
UNKNOWN = failed(404, "Not found")


def task(status: str, **more: object) -> Reply:
    return Reply(body={"id": TASK_ID, "status": status, "createdAt": "2026-08-01T10:00:00.000Z", **more})


STAGE = Stage(
    kind=KIND,
    server=RunwayServer,
    order=ORDER,
    orders=tuple(varied(ORDER, KIND.features)),
    task_id=TASK_ID,
    situations={
        "accepted": (recorded("runway", "created"),),
        "refused_parameters": (recorded("runway", "error", status=400),),
        "unknown_model": (failed(404, "Not found"),),
        "busy": (failed(429, "Too many requests"),),
        "busy_for_7_seconds": (
            Reply(status=429, body={"error": "Too many requests"}, headers={"Retry-After": "7"}),
        ),
        "bad_credential": (failed(401, "Unauthorized"),),
        "no_money": (failed(402, "Not enough credits"),),
        "broken_inside": (failed(500, "Internal error"),),
        "queued": (recorded("runway", "pending"),),
        "running": (recorded("runway", "running"),),
        "new_status": (task("POLISHING"),),
        "succeeded": (recorded("runway", "succeeded"),),
        "succeeded_without_media": (task("SUCCEEDED", output=[]),),
        "failed_content": (recorded("runway", "failed"),),
        "failed_inside": (task("FAILED", failure="Words", failureCode="INTERNAL.BAD_OUTPUT.CODE01"),),
        "failed_unexplained": (task("FAILED", failure="Words", failureCode="ODD"),),
        "cancelled": (recorded("runway", "cancelled"),),
        "forgotten": (UNKNOWN,),
        "stops_queued": (recorded("runway", "throttled"), Reply(status=204)),
    },
    lacks={
        "refused_content": "content is looked at after an order was accepted",
        "expired": "no status says so",
        "keeps_running": "a task that runs is stopped too",
        "listed": "there is no list",
        "not_listed": "there is no list",
    },
)
