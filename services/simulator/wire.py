import hashlib
import hmac
from typing import Any, Final
from urllib.parse import urlencode

from services.simulator.orders import SERVICE_TIER
from services.simulator.scenarios import Ending
from services.simulator.sizes import FRAMES_PER_SECOND
from services.simulator.tasks import Outcome, Status, Task

MEDIA_LIFETIME_SECONDS: Final = 86_400
VIDEO_NAME: Final = "video.mp4"
LAST_FRAME_NAME: Final = "last_frame.png"


class Links:
    """Signed addresses of rendered files, valid for a day after the task has ended."""

    def __init__(self, base_url: str, *, secret: str) -> None:
        self._base_url = base_url
        self._secret = secret.encode()

    def link(self, task: Task, name: str) -> str:
        """The address of one file of a task."""
        path = f"/media/{task.id}/{name}"
        signed_at = str(int(task.updated_at))
        query = {
            "X-Tos-Algorithm": "TOS4-HMAC-SHA256",
            "X-Tos-Date": signed_at,
            "X-Tos-Expires": str(MEDIA_LIFETIME_SECONDS),
            "X-Tos-Signature": self.signature(path, signed_at),
        }
        return f"{self._base_url}{path}?{urlencode(query)}"

    def signature(self, path: str, signed_at: str) -> str:
        """What proves that an address was handed out here."""
        return hmac.digest(self._secret, f"{path}\n{signed_at}".encode(), hashlib.sha256).hex()


def render_task(task: Task, links: Links) -> dict[str, Any]:
    """The task as GET, list and callbacks show it (ModelArk documentation 1521309)."""
    order = task.order
    shown: dict[str, Any] = {
        "id": task.id,
        "model": order.model,
        "status": task.status.value,
        "created_at": int(task.created_at),
        "updated_at": int(task.updated_at),
        "service_tier": SERVICE_TIER,
        "execution_expires_after": order.expires_after_seconds,
        "priority": order.priority,
    }
    if order.safety_identifier is not None:
        shown["safety_identifier"] = order.safety_identifier
    if task.failure:
        shown["error"] = task.failure.model_dump()
    if task.status is Status.SUCCEEDED and task.outcome:
        shown |= _render_outcome(task, task.outcome, links)
    return shown


def _render_outcome(task: Task, outcome: Outcome, links: Links) -> dict[str, Any]:
    content = {}
    if task.order.scenario.ending is not Ending.SUCCEEDS_WITHOUT_VIDEO:
        content["video_url"] = links.link(task, VIDEO_NAME)
    if task.order.return_last_frame:
        content["last_frame_url"] = links.link(task, LAST_FRAME_NAME)
    tokens = outcome.duration_seconds * outcome.width * outcome.height * FRAMES_PER_SECOND // 1024
    return {
        "error": None,
        "content": content,
        "seed": task.order.seed,
        "resolution": task.order.resolution,
        "ratio": outcome.ratio,
        "duration": outcome.duration_seconds,
        "framespersecond": FRAMES_PER_SECOND,
        "generate_audio": task.order.generate_audio,
        "draft": False,
        "usage": {"completion_tokens": tokens, "total_tokens": tokens},
    }
