"""The two contracts as tools see them: what is called and sent, and one shape for what comes back."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from services.common.auth.key_forms import contract_of
from services.mcp.calls import Refused
from services.mcp.methods import JOBS, VIDEOS, Method
from services.mcp.shapes import Page, Video, Videos, Wanted

ENDS: Final = frozenset({"completed", "succeeded", "failed", "canceled"})


class Contract(Protocol):
    """How one contract is asked for videos, and what it calls them."""

    create: Method
    get: Method
    listing: Method
    cancel: Method

    def body(self, wanted: Wanted) -> dict[str, Any]:
        """Returns the body of a creation."""
        ...

    def video(self, answer: Mapping[str, Any]) -> Video:
        """Returns the video of an answer about one."""
        ...

    def query(self, page: Page) -> dict[str, Any]:
        """Returns what asks for a page. Raises Refused."""
        ...

    def videos(self, answer: Mapping[str, Any]) -> Videos:
        """Returns the page of an answer."""
        ...


class Seedancee2:
    """Bodies with `input`, answers with `data`, credits for the whole task."""

    create = VIDEOS["CreateVideo"]
    get = VIDEOS["GetVideo"]
    listing = VIDEOS["ListVideos"]
    cancel = VIDEOS["CancelVideo"]
    estimate = VIDEOS["EstimateVideo"]

    def body(self, wanted: Wanted) -> dict[str, Any]:
        """Returns the body of a creation."""
        fields = _fields(wanted)
        return {"model": fields.pop("model"), "input": fields}

    def video(self, answer: Mapping[str, Any]) -> Video:
        """Returns the video of an answer about one."""
        return _seedancee2_video(answer["data"])

    def query(self, page: Page) -> dict[str, Any]:
        """Returns what asks for a page."""
        asked = {"limit": page.limit, "status": page.status, "after": page.cursor}
        return {name: value for name, value in asked.items() if value is not None}

    def videos(self, answer: Mapping[str, Any]) -> Videos:
        """Returns the page of an answer."""
        found = [_listed(_seedancee2_video(each)) for each in answer["data"]]
        return Videos(videos=found, next_cursor=answer.get("next_after"))


class NextAPI:
    """Flat bodies and answers."""

    create = JOBS["CreateJob"]
    get = JOBS["GetJob"]
    listing = JOBS["ListJobs"]
    cancel = JOBS["CancelJob"]

    def body(self, wanted: Wanted) -> dict[str, Any]:
        """Returns the body of a creation."""
        fields = _fields(wanted)
        if "duration" in fields:
            fields["duration_seconds"] = fields.pop("duration")
        return fields

    def video(self, answer: Mapping[str, Any]) -> Video:
        """Returns the video of an answer about one."""
        spent = answer.get("credits", answer.get("estimated_credits"))
        return _video(answer, spent=spent, results=answer)

    def query(self, page: Page) -> dict[str, Any]:
        """Returns what asks for a page. Raises Refused."""
        if page.status is not None:
            raise Refused("invalid_request", "A NextAPI key lists all statuses: leave `status` out.")
        if page.cursor is not None and not page.cursor.isdecimal():
            raise Refused("invalid_request", "`cursor` must be the next_cursor of the page before.")
        return {"limit": page.limit, "offset": int(page.cursor or 0)}

    def videos(self, answer: Mapping[str, Any]) -> Videos:
        """Returns the page of an answer."""
        found = [_listed(self.video(each)) for each in answer["data"]]
        following = str(answer["offset"] + len(found)) if answer["has_more"] else None
        return Videos(videos=found, next_cursor=following)


SEEDANCEE2: Final = Seedancee2()
NEXTAPI: Final = NextAPI()


def contract_for(key: str) -> Seedancee2 | NextAPI:
    """Returns the contract that a key names. Raises Refused for what is no key of ours."""
    match contract_of(key):
        case "seedancee2":
            return SEEDANCEE2
        case "nextapi":
            return NEXTAPI
        case _:
            raise Refused("invalid_api_key", "API key is missing, invalid, or disabled.")


def _fields(wanted: Wanted) -> dict[str, Any]:
    fields = wanted.model_dump(include=set(Wanted.model_fields), exclude_none=True)
    if "start_image_url" in fields or "end_image_url" in fields:
        fields["generation_type"] = "first_and_last_frames"
    return fields


def _listed(video: Video) -> dict[str, Any]:
    return video.model_dump(exclude_none=True)


def _seedancee2_video(data: Mapping[str, Any]) -> Video:
    spent = data.get("credits_charged", data.get("credits_reserved"))
    return _video(data, spent=spent, results=data.get("output") or {})


def _video(data: Mapping[str, Any], *, spent: float | None, results: Mapping[str, Any]) -> Video:
    error = data.get("error")
    return Video(
        id=data["id"],
        status=data["status"],
        finished=data["status"] in ENDS,
        model=data.get("model"),
        credits=spent,
        video_url=results.get("video_url"),
        poster_url=results.get("thumbnail_url"),
        error={"code": error["code"], "message": error["message"]} if error else None,
    )
