"""Another Reelgate's NextAPI contract, as strict as its proto files; it holds requests to them with the same library."""

import hmac
import json
from typing import Any

import protovalidate
from google.protobuf.json_format import ParseDict, ParseError
from reelgate.nextapi.v1 import job_service_pb2
from typing_extensions import override

from tests.fakes.faithful_server import KEY, FaithfulServer, RefusedRequestError, json_of
from tests.fakes.provider_server import Reply, Seen

MODELS = {"seedance-2.0-pro", "seedance-2.0-fast", "seedance-2.0-mini"}
SECRET = "whsec_bXkgc2VjcmV0IG9mIGNhbGxiYWNrcw=="
JOBS = "/v1/video/generations"
CREATED_AT = "2026-03-01T08:00:00.000Z"
ENDED = {"succeeded", "failed", "canceled"}
LIMIT_DEFAULT = 20


class ReelgateServer(FaithfulServer):
    """Serves `/v1`. What comes again with the same Idempotency-Key gets the first answer."""

    FIRST_ID = "job_01m80djpcnm6nyzxe0nhb24fer"
    PATH = "/v1"

    def __init__(self) -> None:
        super().__init__()
        self._by_key: dict[str, tuple[bytes, dict[str, Any]]] = {}

    def will_be(self, status: str, *, task_id: str | None = None, **members: Any) -> None:
        """Makes a job, or the latest, be in a status."""
        name = task_id or self.latest_id
        job = self.tasks.setdefault(name, self.named(name, self._job({})))
        job |= {"status": status, **members}
        if status == "succeeded":
            job |= {"progress": 100, "completed_at": CREATED_AT, "credits": 0.35}
            job.setdefault("video_url", f"{self.origin}/media/videos/{name}.mp4")

    @override
    def run(self, task_id: str) -> None:
        self.will_be("running", task_id=task_id, started_at=CREATED_AT, progress=7)

    @override
    def finish(self, task_id: str) -> None:
        self.will_be("succeeded", task_id=task_id)

    @override
    def answer(self, seen: Seen) -> Reply:
        if seen.headers.get("authorization") != f"Bearer {KEY}":
            raise refused(401, "unauthorized")
        match seen.method, seen.path.removeprefix(JOBS).strip("/").split("/"):
            case "POST", [""]:
                return self._created(seen)
            case "GET", [""]:
                return self._listed(int(seen.query["limit"]), int(seen.query["offset"]))
            case "GET", [name]:
                return Reply(body=self._known(name))
            case "POST", [name, "cancel"]:
                return self._canceled(self._known(name))
        raise refused(404, "not_found")

    def _known(self, name: str) -> dict[str, Any]:
        if name not in self.tasks:
            raise refused(404, "not_found")
        return self.tasks[name]

    def _created(self, seen: Seen) -> Reply:
        key = seen.headers.get("idempotency-key", "")
        assert key, "an order without a key"
        if key in self._by_key:
            first, answer = self._by_key[key]
            if first != seen.body:
                raise refused(422, "idempotency_conflict")
            return Reply(body=answer, headers={"Idempotent-Replayed": "true"})
        body = json_of(seen)
        _check(body)
        job = self.new_task(body, self._job(body))
        answer = {name: job[name] for name in ("id", "status", "estimated_credits")}
        self._by_key[key] = (seen.body, answer)
        return Reply(body=answer)

    def _job(self, body: dict[str, Any]) -> dict[str, Any]:
        metadata = {"metadata": body["metadata"]} if body.get("metadata") else {}
        return {
            "status": "queued", "model": body.get("model", min(MODELS)), "progress": 0, "estimated_credits": 0.35,
            "created_at": CREATED_AT, **metadata,
        }  # fmt: skip

    def _listed(self, limit: int, offset: int) -> Reply:
        assert 1 <= limit <= 100
        assert 0 <= offset <= 10_000
        newest = list(reversed(self.tasks.values()))
        page = newest[offset : offset + limit]
        has_more = len(newest) > offset + limit
        return Reply(body={"data": page, "limit": limit, "offset": offset, "has_more": has_more})

    def _canceled(self, job: dict[str, Any]) -> Reply:
        if job["status"] == "canceled":
            return Reply(body=job)
        if job["status"] != "queued":
            raise refused(409, "conflict")
        job |= {"status": "canceled", "error": {"code": "canceled", "message": "Words"}, "credits": 0}
        return Reply(body=job)


def refused(status: int, code: str) -> RefusedRequestError:
    """Returns an answer in the error envelope."""
    return RefusedRequestError(Reply(status=status, body={"error": {"code": code, "message": "Words"}}))


def event(job: dict[str, Any], *, sequence: int = 1) -> bytes:
    """Returns the body of an event about a job."""
    body = {
        "id": f"evt_{sequence}", "type": f"job.{job['status']}", "created_at": CREATED_AT, "sequence": sequence,
        "data": job,
    }  # fmt: skip
    return json.dumps(body).encode()


def signed(body: bytes, *, at: float, secret: str = SECRET, before: str = "") -> dict[str, str]:
    """Returns the headers of an event. `before`: a secret that signs beside it, and is named first."""
    time = str(int(at))
    digests = [
        hmac.digest(each.encode(), f"{time}.".encode() + body, "sha256").hex()
        for each in (before, secret)
        if each
    ]
    return {"x-nextapi-signature": ",".join([f"t={time}", *(f"v1={digest}" for digest in digests)])}


def _check(body: dict[str, Any]) -> None:
    try:
        request = ParseDict(body, job_service_pb2.CreateJobRequest())
        protovalidate.validate(request)
    except (ParseError, protovalidate.ValidationError) as error:
        raise refused(400, "invalid_request") from error
    if request.model not in MODELS:
        raise refused(404, "not_found")
    frames = bool(request.start_image_url), bool(request.end_image_url)
    has_frames = request.generation_type == "first_and_last_frames"
    if frames != (has_frames, has_frames):
        raise refused(400, "invalid_request")
    if request.audio_urls and not (request.image_urls or request.video_urls):
        raise refused(400, "invalid_request")
