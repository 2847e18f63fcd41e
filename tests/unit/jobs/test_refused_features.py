"""A feature that no route has is refused under the field that asked for it, wherever that stands."""

from dataclasses import replace
from typing import Any

import pytest

from services.common.errors import Reason, ServiceError
from services.jobs.convert import nextapi, seedancee2
from services.jobs.domain.catalogue import SIMULATED
from services.jobs.domain.requests import NewJob
from services.jobs.domain.routes import Choices
from services.jobs.operations.refuse_impossible import refuse_unless_possible
from tests.unit.jobs.samples import INPUT, OFFERS

FRAMES = {"start_image_url": "https://a.example/1.png", "end_image_url": "https://a.example/2.png"}
VIDEO = {"video_urls": ("https://a.example/1.mp4",)}
REST = "for model pro with the rest of this request."


def refusal(
    lacks: dict[str, Any],
    asks: dict[str, Any],
    reference_fields: tuple[str, ...] = (),
    *,
    field_name: Any = seedancee2.field_name,
) -> str:
    route = replace(SIMULATED.route, features=replace(SIMULATED.route.features, **lacks))
    offer = replace(OFFERS["pro"], choices=Choices([replace(SIMULATED, route=route)]))
    wanted = NewJob(
        model="pro",
        input=replace(INPUT, **asks),
        callback_url=None,
        metadata_json=None,
        field_name=field_name,
        reference_fields=reference_fields,
    )
    with pytest.raises(ServiceError) as refused:
        refuse_unless_possible(wanted, offer)
    assert refused.value.reason is Reason.INVALID_FIELD
    return refused.value.message


@pytest.mark.parametrize(
    ("lacks", "asks", "reference_fields", "message"),
    [
        ({"end_frame": False}, FRAMES, tuple(FRAMES), f"Field input.end_image_url cannot be sent {REST}"),
        (
            {"end_frame": False},
            FRAMES,
            ("image_urls[0]", "image_urls[1]"),
            f"Field input.image_urls cannot be sent {REST}",
        ),
        ({"start_frame": False}, FRAMES, tuple(FRAMES), f"Field input.start_image_url cannot be sent {REST}"),
        ({"video_references": 0}, VIDEO, ("video_url",), f"Field input.video_url cannot be sent {REST}"),
        ({"video_references": 0}, VIDEO, ("video_urls[0]",), f"Field input.video_urls cannot be sent {REST}"),
        (
            {"audio": frozenset({True})},
            {"generate_audio": False},
            (),
            f"Field input.generate_audio must be true {REST}",
        ),
        (
            {"references": 2},
            {"image_urls": ("https://a.example/1.png",) * 2, **VIDEO},
            ("image_urls[0]", "image_urls[1]", "video_urls[0]"),
            f"Field input.video_urls is too long: at most 2 references in all are possible {REST}",
        ),
        (
            {"prompt_characters": 3_500},
            {"prompt": "🚤" * 1_751},
            (),
            f"Field input.prompt must have at most 3,500 characters {REST}",
        ),
        (
            {"aspect_ratios": frozenset({"9:16", "1:1"})},
            {},
            (),
            f"Field input.aspect_ratio must be one of 1:1, 9:16 {REST}",
        ),
    ],
)
def test_a_lacking_feature_is_named_by_its_field(
    lacks: dict[str, Any], asks: dict[str, Any], reference_fields: tuple[str, ...], message: str
) -> None:
    assert refusal(lacks, asks, reference_fields) == message


def test_each_contract_has_its_own_names() -> None:
    lacks, asks = {"seconds": frozenset({4, 8})}, {"duration_seconds": 5}

    assert refusal(lacks, asks) == f"Field input.duration must be one of 4, 8 {REST}"
    assert refusal(lacks, asks, field_name=nextapi.field_name) == (
        f"Field duration_seconds must be one of 4, 8 {REST}"
    )
