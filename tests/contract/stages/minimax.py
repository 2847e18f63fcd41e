"""How MiniMax puts it."""

from dataclasses import replace

from services.upstream.providers.minimax.adapter import KIND
from tests.contract.stages.ark import ORDER as ANY_ORDER
from tests.contract.stages.stage import Stage, recorded, varied
from tests.fakes.minimax_server import MinimaxServer, failed
from tests.fakes.provider_server import Reply

ORDER = replace(ANY_ORDER, model="MiniMax-H3", resolution="768p", generate_audio=True)
TASK_ID = "424010985738629"
QUEUED, RUNNING = recorded("minimax", "queued"), recorded("minimax", "running")


def task(status: str, **more: object) -> Reply:
    return Reply(body={"task": {"id": TASK_ID, "model": "MiniMax-H3", "status": status, **more}})


STAGE = Stage(
    kind=KIND,
    server=MinimaxServer,
    order=ORDER,
    orders=tuple(varied(ORDER, KIND.features)),
    task_id=TASK_ID,
    situations={
        "accepted": (recorded("minimax", "created"),),
        "refused_parameters": (recorded("minimax", "error", status=400),),
        "refused_content": (failed(422, "unprocessable_entity_error", "input new_sensitive (1026)"),),
        "busy": (failed(429, "rate_limit_error", "rate limit, please retry later (1002)"),),
        "busy_for_7_seconds": (
            failed(429, "rate_limit_error", "rate limit, please retry later (1002)", **{"Retry-After": "7"}),
        ),
        "bad_credential": (failed(401, "authorized_error", "login fail (1004)"),),
        "no_money": (failed(402, "insufficient_balance_error", "insufficient balance (1008)"),),
        "broken_inside": (failed(500, "server_error", "unknown error (1000)"),),
        "queued": (QUEUED,),
        "running": (RUNNING,),
        "new_status": (task("polishing"),),
        "succeeded": (recorded("minimax", "succeeded"),),
        "succeeded_without_media": (task("succeeded", content={}),),
        "failed_content": (recorded("minimax", "failed"),),
        "failed_inside": (task("failed", error={"code": "1000", "message": "unknown error"}),),
        "failed_unexplained": (task("failed", error={"code": "7777", "message": "words"}),),
        "expired": (recorded("minimax", "expired"),),
        "cancelled": (recorded("minimax", "cancelled"),),
        "forgotten": (failed(404, "not_found_error", "task not found"),),
        "stops_queued": (QUEUED, Reply(body={})),
        "keeps_running": (QUEUED, failed(400, "bad_request_error", "the task is running (2013)"), RUNNING),
    },
    lacks={
        "unknown_model": "a wrong model is one of the wrong parameters",
        "listed": "the list holds nothing of ours",
        "not_listed": "the list holds nothing of ours",
    },
)
