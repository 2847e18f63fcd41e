from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from services.simulator.errors import ApiError, invalid, missing


class Role(StrEnum):
    """What a picture, video or sound is for."""

    FIRST_FRAME = "first_frame"
    LAST_FRAME = "last_frame"
    REFERENCE_IMAGE = "reference_image"
    REFERENCE_VIDEO = "reference_video"
    REFERENCE_AUDIO = "reference_audio"


class Medium(BaseModel):
    """A picture, video or sound of the request."""

    model_config = ConfigDict(frozen=True)

    url: str
    role: Role
    position: int = 0
    """Its place in `content`."""


# ModelArk documentation 1520757: how many of each role, and which roles each type may have.
COUNT_MAX: Final = {
    Role.FIRST_FRAME: 1,
    Role.LAST_FRAME: 1,
    Role.REFERENCE_IMAGE: 9,
    Role.REFERENCE_VIDEO: 3,
    Role.REFERENCE_AUDIO: 3,
}
ROLES_BY_TYPE: Final = {
    "image_url": (Role.FIRST_FRAME, Role.LAST_FRAME, Role.REFERENCE_IMAGE),
    "video_url": (Role.REFERENCE_VIDEO,),
    "audio_url": (Role.REFERENCE_AUDIO,),
}
INLINE_PREFIXES: Final = {"image_url": "data:image/", "audio_url": "data:audio/"}
ASSET_PREFIX: Final = "asset://"


def parse_content(body: dict[str, Any]) -> tuple[str, tuple[Medium, ...]]:
    """The prompt and the media of a create request, checked as one of the four documented shapes.

    Raises ApiError naming the first thing that is wrong.
    """
    items = body.get("content")
    if not items:
        raise missing("content")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise _invalid("content must be an array of objects.")
    prompt = " ".join(_text(item) for item in items if item.get("type") == "text")
    others = [item for item in items if item.get("type") != "text"]
    media = tuple(
        _medium(item, alone=len(others) == 1).model_copy(update={"position": position})
        for position, item in enumerate(items)
        if item.get("type") != "text"
    )
    if not media and not prompt:
        raise missing("content.text")
    _check_shape([medium.role for medium in media])
    return prompt, media


def mode_of(media: tuple[Medium, ...]) -> str:
    """The word ModelArk's messages use for the shape of a request."""
    if not media:
        return "t2v"
    return "i2v" if any(medium.role is Role.FIRST_FRAME for medium in media) else "r2v"


def is_web_address(url: str) -> bool:
    """Whether this is http or https with a host."""
    try:
        address = urlsplit(url)
    except ValueError:
        return False
    return address.scheme in {"http", "https"} and bool(address.hostname)


def _text(item: dict[str, Any]) -> str:
    text = item.get("text")
    if not isinstance(text, str) or not text.strip():
        raise _invalid("text must be a string that is not empty.")
    return text


def _medium(item: dict[str, Any], *, alone: bool) -> Medium:
    kind = item.get("type")
    roles = ROLES_BY_TYPE.get(kind) if isinstance(kind, str) else None
    if roles is None:
        raise _invalid(f"type must be text, image_url, video_url or audio_url, not {kind}.")
    holder = item.get(str(kind))
    url = holder.get("url") if isinstance(holder, dict) else None
    if not isinstance(url, str):
        raise _invalid(f"{kind} must be an object with a url.")
    _check_url(str(kind), url)
    role = item.get("role")
    if role is None:
        if kind == "image_url" and alone:
            return Medium(url=url, role=Role.FIRST_FRAME)
        raise _invalid(f"role must be specified for {str(kind).removesuffix('_url')} contents.")
    if role not in roles:
        raise _invalid(f"role {role} is not one of {', '.join(roles)} for {kind}.")
    return Medium(url=url, role=Role(role))


def _check_url(kind: str, url: str) -> None:
    if url.startswith(ASSET_PREFIX):
        raise _invalid(f"The specified asset {url.removeprefix(ASSET_PREFIX)} is not found.")
    if is_web_address(url):
        return
    if kind in INLINE_PREFIXES and url.startswith(INLINE_PREFIXES[kind]) and ";base64," in url:
        return
    if kind != "image_url":
        raise _invalid(f"{kind} must be an http or https address.")
    code = "InvalidFormat" if url else "EmptyURL"
    message = "an image must be given as an http or https address, or as data:image/<format>;base64."
    raise ApiError(400, f"InvalidImageURL.{code}", message, parameter="content")


def _check_shape(roles: list[Role]) -> None:
    for role, count_max in COUNT_MAX.items():
        if roles.count(role) > count_max:
            what = role.replace("_", " ") + " image" * role.endswith("frame")
            at_most = "one" if count_max == 1 else str(count_max)
            raise _invalid(f"expected at most {at_most} {what} content but got {roles.count(role)} instead.")
    frames = {Role.FIRST_FRAME, Role.LAST_FRAME} & set(roles)
    if frames and len(frames) != len(roles):
        raise _invalid("first/last frame content cannot be mixed with reference media content.")
    if frames == {Role.LAST_FRAME}:
        raise _invalid("last frame image content needs a first frame image content.")
    if roles and set(roles) == {Role.REFERENCE_AUDIO}:
        raise _invalid("reference audio needs at least one reference image or reference video.")


def _invalid(message: str) -> ApiError:
    return invalid("content", f"The parameter `content` specified in the request is not valid: {message}")
