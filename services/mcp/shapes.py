"""What tools take and what they answer, as data; `schema_of` says it to a model in few words."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

WAIT_SECONDS_MAX: Final = 45
"""Clients give a call up after 60 seconds."""

Wait = Annotated[int, Field(ge=0, le=WAIT_SECONDS_MAX, description="Wait for its end so long.")]


class Given(BaseModel):
    """Arguments of a tool. Unknown names are refused."""

    model_config = ConfigDict(extra="forbid")


class Nothing(Given):
    """No arguments."""


class Wanted(Given):
    """A video that may be made. What the fields mean is said once, where one is made."""

    model: str
    prompt: str
    duration: int | None = None
    resolution: str | None = None
    aspect_ratio: str | None = None
    image_urls: list[str] | None = None
    video_urls: list[str] | None = None
    audio_urls: list[str] | None = None
    start_image_url: str | None = None
    end_image_url: str | None = None
    generate_audio: bool | None = None
    seed: int | None = None


class Ordered(Wanted):
    """A video to be made."""

    model: str = Field(description="From list_models.")
    duration: int | None = Field(None, description="Seconds.")
    resolution: str | None = Field(None, description="480p, 720p or 1080p.")
    aspect_ratio: str | None = Field(None, description="As 16:9.")
    image_urls: list[str] | None = Field(None, description="References: http(s) addresses.")
    start_image_url: str | None = Field(None, description="First frame, with end_image_url.")
    max_credits: float | None = Field(None, gt=0, description="Refuse if it costs more.")
    request_id: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="Your name for it. Repeated, it makes no second video.",
    )
    wait_seconds: Wait = 0


class One(Given):
    """A video, by its id."""

    id: str


class Watched(One):
    """A video, and how long to wait for its end."""

    wait_seconds: Wait = 0


class Page(Given):
    """Which videos to list."""

    status: str | None = None
    limit: int = Field(10, ge=1, le=100)
    cursor: str | None = Field(None, description="next_cursor of the page before.")


class Range(Given):
    """Which time to count."""

    start: str | None = Field(None, description="ISO 8601 with zone. Default: 30 days ago.")
    end: str | None = None


class Video(BaseModel):
    """A video of either contract."""

    id: str
    status: str
    finished: bool
    model: str | None = None
    credits: float | None = None
    video_url: str | None = None
    poster_url: str | None = None
    error: dict[str, Any] | None = None
    next: str | None = None


class Videos(BaseModel):
    """A page of videos."""

    videos: list[dict[str, Any]]
    """Each as a Video."""
    next_cursor: str | None = None


class Price(BaseModel):
    """What a video would cost."""

    credits: float
    available: float
    covered: bool


class Balance(BaseModel):
    """The credits of an account."""

    available: float
    held: float


class Models(BaseModel):
    """What can be made, and for how much."""

    models: list[dict[str, Any]]


class Usage(BaseModel):
    """What was made, and for how much."""

    range: dict[str, Any]
    summary: dict[str, Any]
    by_model: list[dict[str, Any]]
    timeline: list[dict[str, Any]]


def schema_of(shape: type[BaseModel]) -> dict[str, Any]:
    """Returns the JSON Schema of a shape without what a model does not need: titles, and that absent is null."""
    whole = shape.model_json_schema()
    plain = _plain(whole, whole.pop("$defs", {}))
    assert isinstance(plain, dict)
    return plain


_UNSAID: Final = (("default", None), ("additionalProperties", True))


def _plain(node: Any, kinds: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_plain(each, kinds) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _plain(kinds[node["$ref"].rpartition("/")[2]], kinds)
    if "properties" in node:
        named = {name: _plain(each, kinds) for name, each in node["properties"].items()}
        rest = {
            name: each for name, each in node.items() if name in {"type", "required", "additionalProperties"}
        }
        return {**rest, "properties": named}
    if "anyOf" in node:
        [real] = [each for each in node["anyOf"] if each != {"type": "null"}]
        node = {**real, **{name: each for name, each in node.items() if name != "anyOf"}}
        return _plain(node, kinds)
    return {
        name: _plain(each, kinds)
        for name, each in node.items()
        if name != "title" and (name, each) not in _UNSAID
    }
