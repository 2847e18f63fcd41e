"""Veo's bodies: written from an order, parsed into the answers of `provider.py`. No I/O here."""

import base64
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from services.upstream.bodies import UnusableBodyError, member, parse_object
from services.upstream.pictures import Picture
from services.upstream.provider import Done, Order, Pending, RefusalKind, Refused
from services.upstream.providers.veo.errors import error_of, failure

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_OPERATION = re.compile(rf"models/{_PART}/operations/{_PART}")


def start_path(model: str) -> str:
    """Returns where a render of a model is started, from the base URL."""
    return f"/models/{quote(model, safe='')}:predictLongRunning"


def pictures_of(order: Order) -> tuple[str, ...]:
    """Returns the addresses of an order's pictures: its frames, then its references."""
    frames = (order.start_image_url, order.end_image_url)
    return (*(url for url in frames if url), *order.image_urls)


def render_order(order: Order, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Returns the body of a create request, with the pictures of `pictures_of`."""
    parameters: dict[str, Any] = {
        "aspectRatio": order.aspect_ratio,
        "durationSeconds": order.duration_seconds,
        "resolution": order.resolution,
        "sampleCount": 1,
    }
    if person := order.options.get("person_generation"):
        parameters["personGeneration"] = person
    return {"instances": [{"prompt": order.prompt, **_images(order, pictures)}], "parameters": parameters}


def parse_created(body: bytes) -> str:
    """Returns the name of the new operation. Raises UnusableBodyError if the body holds none that can be a path."""
    name = parse_object(body).get("name")
    if not isinstance(name, str) or not _OPERATION.fullmatch(name):
        raise UnusableBodyError("no usable operation name")
    return name


def parse_operation(body: bytes) -> Pending | Done | Refused:
    """Returns where an operation is. Raises UnusableBodyError if the body is no operation."""
    operation = parse_object(body)
    if not isinstance(operation.get("name"), str):
        raise UnusableBodyError("operation without a name")
    if operation.get("done") is not True:
        # An operation does not say whether it has begun.
        return Pending(running=True)
    if error := member(operation, "error"):
        return failure(error_of(error))
    return _done(member(member(operation, "response"), "generateVideoResponse"))


def _images(order: Order, pictures: Sequence[Picture]) -> dict[str, Any]:
    rest = list(map(_image, pictures))
    images: dict[str, Any] = {}
    if order.start_image_url:
        images["image"] = rest.pop(0)
    if order.end_image_url:
        images["lastFrame"] = rest.pop(0)
    if rest:
        images["referenceImages"] = [{"image": each, "referenceType": "asset"} for each in rest]
    return images


def _image(picture: Picture) -> dict[str, str]:
    encoded = base64.b64encode(picture.content).decode("ascii")
    return {"bytesBase64Encoded": encoded, "mimeType": picture.media_type}


def _done(response: dict[str, Any]) -> Done | Refused:
    samples = response.get("generatedSamples")
    first = samples[0] if isinstance(samples, list) and samples else None
    uri = member(first, "video").get("uri")
    if isinstance(uri, str) and uri:
        return Done(video_url=uri)
    if response.get("raiMediaFilteredCount") or response.get("raiMediaFilteredReasons"):
        return Refused(kind=RefusalKind.CONTENT, detail="the finished video was withheld")
    return Refused(kind=RefusalKind.UNAVAILABLE, detail="operation done without a video")
