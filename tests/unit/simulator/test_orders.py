from typing import Any

import pytest

from services.simulator.content import Role
from services.simulator.errors import ApiError
from services.simulator.orders import MODELS, parse_order

PRO = "dreamina-seedance-2-0-260128"
FAST = "dreamina-seedance-2-0-fast-260128"
MINI = "doubao-seedance-2-0-mini-260615"
TEXT = {"type": "text", "text": "A cat"}


def medium(kind: str, role: str | None, url: str | None = None) -> dict[str, Any]:
    item: dict[str, Any] = {
        "type": f"{kind}_url",
        f"{kind}_url": {"url": url or f"https://example.com/{kind}"},
    }
    return item if role is None else item | {"role": role}


def image(role: str | None, url: str | None = None) -> dict[str, Any]:
    return medium("image", role, url)


def body(*content: Any, **fields: Any) -> dict[str, Any]:
    return {"model": PRO, "content": list(content) or [TEXT], **fields}


def refusal(request: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse_order(request)
    return caught.value


def test_defaults_are_those_of_the_documentation() -> None:
    order = parse_order(body())

    assert (order.resolution, order.ratio, order.duration_seconds, order.seed) == ("720p", "adaptive", 5, -1)
    assert (order.generate_audio, order.watermark, order.return_last_frame) == (True, False, False)
    assert (order.expires_after_seconds, order.priority) == (172_800, 0)


def test_null_counts_as_absent_and_minus_one_leaves_the_duration_to_the_model() -> None:
    order = parse_order(body(duration=-1, resolution=None, generate_audio=None, callback_url=None))

    assert (order.duration_seconds, order.resolution, order.generate_audio) == (5, "720p", True)


def test_unknown_parameters_are_ignored() -> None:
    assert parse_order(body(camera_fixed="maybe")) == parse_order(body())


def test_the_three_tiers_have_an_id_outside_and_one_inside_china() -> None:
    assert len(MODELS) == 6
    assert {name.partition("-")[2] for name in MODELS} == {
        "seedance-2-0-260128",
        "seedance-2-0-fast-260128",
        "seedance-2-0-mini-260615",
    }


@pytest.mark.parametrize(
    ("model", "resolution", "accepted"),
    [
        (PRO, "1080p", True),
        (PRO, "4k", True),
        (FAST, "720p", True),
        (FAST, "1080p", False),
        (MINI, "480p", True),
        (MINI, "1080p", False),
        (MINI, "4k", False),
    ],
)
def test_a_model_has_its_own_resolutions(model: str, resolution: str, accepted: bool) -> None:
    request = body(resolution=resolution) | {"model": model}

    if accepted:
        assert parse_order(request).resolution == resolution
    else:
        assert refusal(request).parameter == "resolution"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("duration", 3),
        ("duration", 16),
        ("duration", 0),
        ("duration", "5"),
        ("duration", 5.0),
        ("duration", True),
        ("ratio", "2:1"),
        ("ratio", 1),
        ("resolution", "240p"),
        ("seed", -2),
        ("seed", 2**31),
        ("generate_audio", "true"),
        ("watermark", 1),
        ("return_last_frame", []),
        ("callback_url", "ftp://example.com"),
        ("callback_url", "http://[broken"),
        ("callback_url", 5),
        ("safety_identifier", "x" * 65),
        ("safety_identifier", ""),
        ("execution_expires_after", 3_599),
        ("execution_expires_after", 259_201),
        ("priority", 10),
        ("service_tier", "flex"),
    ],
)
def test_a_wrong_parameter_is_named(name: str, value: Any) -> None:
    error = refusal(body(**{name: value}))

    assert (error.status, error.code, error.parameter) == (400, "InvalidParameter", name)
    assert name in error.message
    assert "dreamina-seedance-2-0 in t2v" in error.message


@pytest.mark.parametrize(
    ("request_body", "status", "code", "parameter"),
    [
        ([], 400, "InvalidParameter", ""),
        ({}, 400, "MissingParameter", "model"),
        ({"model": "sora"}, 404, "InvalidEndpointOrModel.NotFound", "model"),
        ({"model": ["sora"]}, 404, "InvalidEndpointOrModel.NotFound", "model"),
        ({"model": PRO}, 400, "MissingParameter", "content"),
        ({"model": PRO, "content": []}, 400, "MissingParameter", "content"),
        ({"model": PRO, "content": "A cat"}, 400, "InvalidParameter", "content"),
        ({"model": PRO, "content": ["A cat"]}, 400, "InvalidParameter", "content"),
    ],
)
def test_model_and_content_are_required(request_body: Any, status: int, code: str, parameter: str) -> None:
    error = refusal(request_body)

    assert (error.status, error.code, error.parameter) == (status, code, parameter)


def test_only_one_of_several_errors_is_named() -> None:
    assert refusal(body(duration=99, resolution="8k")).parameter == "resolution"


@pytest.mark.parametrize(
    ("content", "roles"),
    [
        ([TEXT], []),
        ([image(None)], [Role.FIRST_FRAME]),
        ([TEXT, image("first_frame")], [Role.FIRST_FRAME]),
        ([TEXT, image("last_frame"), image("first_frame")], [Role.LAST_FRAME, Role.FIRST_FRAME]),
        ([TEXT] + [image("reference_image")] * 9, [Role.REFERENCE_IMAGE] * 9),
        (
            [
                image("reference_image"),
                medium("video", "reference_video"),
                medium("audio", "reference_audio"),
            ],
            [Role.REFERENCE_IMAGE, Role.REFERENCE_VIDEO, Role.REFERENCE_AUDIO],
        ),
        ([image("first_frame", "data:image/png;base64,AAAA")], [Role.FIRST_FRAME]),
    ],
)
def test_the_documented_shapes_are_accepted(content: list[Any], roles: list[Role]) -> None:
    order = parse_order(body(*content))

    assert [item.role for item in order.media] == roles


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ([{"type": "text"}], "text must be"),
        ([{"type": "text", "text": "  "}], "text must be"),
        ([{"type": "draft_task", "draft_task": {"id": "x"}}], "type must be"),
        ([{"type": ["text"]}], "type must be"),
        ([{"type": "image_url", "image_url": "https://example.com/a.png"}], "object with a url"),
        ([image(None), image(None)], "role must be specified for image contents"),
        ([medium("video", None)], "role must be specified for video contents"),
        ([image("reference_video")], "role reference_video"),
        ([image("first_frame"), image("first_frame")], "at most one first frame image content but got 2"),
        ([image("reference_image")] * 10, "at most 9 reference image content but got 10"),
        ([medium("video", "reference_video")] * 4, "at most 3 reference video content but got 4"),
        (
            [image("reference_image")] + [medium("audio", "reference_audio")] * 4,
            "at most 3 reference audio content but got 4",
        ),
        ([image("first_frame"), image("reference_image")], "cannot be mixed"),
        ([image("last_frame")], "needs a first frame"),
        ([TEXT, medium("audio", "reference_audio")], "at least one reference image or reference video"),
        ([medium("video", "reference_video", "data:video/mp4;base64,AAAA")], "http or https address"),
        ([image("first_frame", "asset://asset-1")], "asset asset-1 is not found"),
    ],
)
def test_other_shapes_are_refused(content: list[Any], complaint: str) -> None:
    error = refusal(body(*content))

    assert (error.status, error.code, error.parameter) == (400, "InvalidParameter", "content")
    assert complaint in error.message


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "InvalidImageURL.EmptyURL"),
        ("cat.png", "InvalidImageURL.InvalidFormat"),
        ("ftp://example.com/cat.png", "InvalidImageURL.InvalidFormat"),
        ("http://[broken", "InvalidImageURL.InvalidFormat"),
        ("data:image/png,raw", "InvalidImageURL.InvalidFormat"),
    ],
)
def test_a_bad_image_address_has_its_own_code(url: str, code: str) -> None:
    item = {"type": "image_url", "image_url": {"url": url}, "role": "reference_image"}

    assert refusal(body(item)).code == code
