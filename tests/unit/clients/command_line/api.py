"""The API as the command line sees it: it makes videos at once, keeps idempotency keys, and hands out webhooks."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.unit.clients.python.service import LOST, Received, Reply

VIDEOS = "/v1/videos/generations"
LIMITS = {
    "X-RateLimit-Limit": "600",
    "X-RateLimit-Remaining": "598",
    "X-RateLimit-Reset": "60",
    "X-Request-Id": "req_7",
}

_COUNTS = {
    "pending_jobs": 0,
    "processing_jobs": 0,
    "completed_jobs": 3,
    "failed_jobs": 1,
    "credits_refunded": 0,
}
USAGE = {
    "summary": {"total_jobs": 4, "credits_charged": 60, "net_credits": 60, **_COUNTS},
    "by_model": [{"model": "mini", "total_jobs": 4, "credits_charged": 60, "net_credits": 60, **_COUNTS}],
    "timeline": [
        {"date": date, "total_jobs": 2, "credits_charged": spent, "net_credits": spent, **_COUNTS}
        for date, spent in (("2026-11-27", 20), ("2026-11-28", 40))
    ],
}

FIXED = {"/v1/usage": USAGE, "/v1/balance": {"available": 250, "held": 0}}


def refused(status: int, code: str) -> Reply:
    envelope = {"error": {"code": code, "message": f"It is {code}.", "type": "api_error"}}
    return Reply(status, envelope, {"X-Request-Id": "req_7"})


@dataclass
class Api:
    """What there is, and what was asked."""

    videos: dict[str, dict[str, Any]] = field(default_factory=dict)
    by_key: dict[str, str] = field(default_factory=dict)
    asked: list[Received] = field(default_factory=list)
    refusals: dict[str, Reply] = field(default_factory=dict)
    """What to answer instead, by verb and path."""
    lost_creations: int = 0
    """How many creations are carried out without an answer."""
    ends_as: str = "completed"
    """In what status videos are when somebody asks for them."""
    most_unfinished: int = 0
    webhooks: list[dict[str, Any]] = field(default_factory=list)
    listeners: int = 0
    cut: Callable[[], bool] = lambda: False
    """Whether the next page of webhooks is cut off on its way."""
    url: str = ""
    _lock: Any = field(default_factory=threading.Lock)

    def answer(self, request: Received) -> Reply:
        with self._lock:
            self.asked.append(request)
            path = urlsplit(request.path).path
            if refusal := self.refusals.get(f"{request.method} {path}"):
                return refusal
            return self._answered(request, path)

    def creations(self) -> list[Received]:
        return [each for each in self.asked if each.method == "POST" and each.path == VIDEOS]

    def _answered(self, request: Received, path: str) -> Reply:
        if path == "/v1/videos/estimates":
            price = 5 * request.json["input"].get("duration", 5)
            return Reply(200, {"data": {"credits": price, "available": 250, "covered": True}})
        if path in FIXED:
            return Reply(200, {"data": FIXED[path]}, LIMITS)
        if path.startswith("/v1/webhook_listeners"):
            return self._listened(request, path)
        if path == "/put" or path.startswith("/v1/uploads"):
            return self._uploaded(request)
        if path == VIDEOS:
            return self._created(request) if request.method == "POST" else self._listed()
        return self._shown(path.removeprefix(f"{VIDEOS}/"))

    def _created(self, request: Received) -> Reply:
        key = request.headers["idempotency-key"]
        if key not in self.by_key:
            video_id = f"vid_{len(self.videos) + 1:03d}"
            self.by_key[key] = video_id
            self.videos[video_id] = {
                "id": video_id,
                "status": "pending",
                "model": request.json["model"],
                "created_at": "2026-11-28T21:00:00.000Z",
            }
            unfinished = sum(each["status"] == "pending" for each in self.videos.values())
            self.most_unfinished = max(self.most_unfinished, unfinished)
        if self.lost_creations:
            self.lost_creations -= 1
            return LOST
        return Reply(200, {"data": {**self.videos[self.by_key[key]], "credits_reserved": 25}})

    def _listed(self) -> Reply:
        return Reply(200, {"data": [*reversed(self.videos.values())]})

    def _shown(self, rest: str) -> Reply:
        video_id, _, what = rest.partition("/")
        if video_id not in self.videos:
            return refused(404, "task_not_found")
        video = self.videos[video_id]
        if what == "events" or not what:
            video["status"] = self.ends_as
            if self.ends_as == "completed":
                video["output"] = {"video_url": f"{self.url}/media/{video_id}.mp4"}
            if self.ends_as == "failed":
                video["error"] = {
                    "code": "generation_failed",
                    "message": "It failed.",
                    "type": "generation_error",
                }
        shown = {"data": video}
        if what != "events":
            return Reply(200, shown)
        text = f"id: 1\nevent: {'status' if self.ends_as == 'processing' else 'end'}\ndata: {json.dumps(shown)}\n\n"
        return Reply(200, text.encode(), {"Content-Type": "text/event-stream"})

    def _uploaded(self, request: Received) -> Reply:
        upload: dict[str, Any] = {"id": "upl_1", "url": "upload://upl_1", "status": "ready"}
        if request.method == "POST":
            upload["put"] = {"url": f"{self.url}/put", "headers": {"Content-Type": "image/png"}}
        return Reply(200, {"data": upload})

    def _listened(self, request: Received, path: str) -> Reply:
        if request.method == "POST":
            self.listeners += 1
            return Reply(200, {"data": {"id": f"whl_{self.listeners}", "secret": f"whsec_{self.listeners}"}})
        if f"/whl_{self.listeners}/" not in path:
            return refused(404, "not_found")
        query = {name: int(value) for name, [value] in parse_qs(urlsplit(request.path).query).items()}
        page = [each for each in self.webhooks if each["sequence"] > query["after"]][: query["limit"]]
        return Reply(200, {"data": page, "expires_at": "2026-11-29T21:00:00.000Z"}, cut=self.cut())


def webhook(sequence: int, **changes: Any) -> dict[str, Any]:
    body = json.dumps({"data": {"id": f"vid_{sequence}"}})
    return {
        "sequence": sequence,
        "event_id": f"evt_{sequence}",
        "event_type": "video.generation.completed",
        "created_at": "2026-11-28T21:00:00.000Z",
        "headers": [
            {"name": "webhook-id", "value": f"evt_{sequence}"},
            {"name": "Content-Type", "value": "application/json"},
        ],
        "body": body,
        **changes,
    }
