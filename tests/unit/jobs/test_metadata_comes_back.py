"""Metadata: what is accepted comes back with the same values and in one order, and the rest is refused by its key."""

import json
import math
import random  # noqa: TID251 - seeded: every run draws the same
import struct
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from reelgate.nextapi.v1.job_service_pb2 import CreateJobRequest
from reelgate.video.v1.video_service_pb2 import CreateVideoRequest, EstimateVideoRequest

from services.common.errors import Reason, ServiceError
from services.jobs.convert.json_text import compact_json, number_text
from services.jobs.convert.metadata import WHOLE_MAX, parse_metadata, place_of, render_metadata
from services.jobs.convert.nextapi import parse_new_job
from services.jobs.convert.seedancee2 import parse_new_video, render_video
from services.jobs.domain.requests import NewJob
from tests.unit.jobs.samples import a_job

ROUNDS = 300
WORDS = [
    "",
    "a",
    "A",
    "aa",
    "b",
    "order_id",
    "é",
    "\u96ea",
    "\uffee",
    "\U0001f600",
    "k10",
    "k9",
    "\u0000",
    "<&>",
]
EDGES = [
    0.0,
    -0.0,
    1.0,
    0.1,
    1e-7,
    1e15,
    1764288000000000.0,
    WHOLE_MAX,
    -WHOLE_MAX,
    0.1234567890123456,
    5e-324,
    1 / 3,
]


def a_number(dice: random.Random) -> float:
    drawn: float = struct.unpack("<d", dice.randbytes(8))[0]
    near = dice.choice([drawn, dice.random(), dice.uniform(-1e6, 1e6), float(dice.randrange(10**15)), *EDGES])
    return near if math.isfinite(near) and abs(near) <= WHOLE_MAX else 0.5


def a_value(dice: random.Random, depth: int = 0) -> Any:
    kind = dice.randrange(7 if depth < 4 else 5)
    if kind == 5:
        return [a_value(dice, depth + 1) for _ in range(dice.randrange(4))]
    if kind == 6:
        return an_object(dice, depth + 1)
    return [None, True, dice.choice(WORDS), a_number(dice), a_number(dice)][kind]


def an_object(dice: random.Random, depth: int = 1) -> dict[str, Any]:
    return {word: a_value(dice, depth) for word in dice.sample(WORDS, dice.randrange(len(WORDS)))}


def as_struct(sent: dict[str, Any]) -> Struct:
    return ParseDict(sent, Struct())


def in_order(value: Any) -> bool:
    if isinstance(value, dict):
        return list(value) == sorted(value, key=place_of) and all(map(in_order, value.values()))
    return not isinstance(value, list) or all(map(in_order, value))


def other_way_round(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: other_way_round(inner) for name, inner in reversed(value.items())}
    return list(map(other_way_round, value)) if isinstance(value, list) else value


def test_whatever_is_accepted_comes_back_equal_in_one_order_however_it_was_sent() -> None:
    dice = random.Random(11)
    for _ in range(ROUNDS):
        sent = an_object(dice)

        kept = parse_metadata(as_struct(sent))

        shown = render_metadata(kept)
        assert shown == sent
        assert repr(shown).count("-0.0") == repr(sent).count("-0.0")
        assert in_order(shown)
        assert compact_json(shown) == kept
        assert parse_metadata(as_struct(other_way_round(sent))) == kept
        assert parse_metadata(render_video(a_job(metadata_json=kept)).metadata) == kept


def test_a_message_written_deterministically_has_its_keys_in_that_order() -> None:
    names = [first + second for first in "zaAé\u96ea\U0001f600" for second in ("", "z", "za", "a", "\uffee")]

    written = as_struct(dict.fromkeys(names)).SerializeToString(deterministic=True)

    # Each member: its key, and a null, as fields 1 and 2 of an entry.
    entries = b"".join(
        b"\x0a" + bytes([len(entry)]) + entry
        for name in sorted(names, key=place_of)
        for entry in [b"\x0a" + bytes([len(name.encode())]) + name.encode() + b"\x12\x02\x08\x00"]
    )
    assert written == entries


def test_every_number_is_written_so_that_it_reads_as_itself() -> None:
    dice = random.Random(12)
    for _ in range(20 * ROUNDS):
        number = a_number(dice)

        assert struct.pack("<d", float(number_text(number))) == struct.pack("<d", number)
        assert json.loads(number_text(number)) == number


@pytest.mark.parametrize(
    ("number", "text"), [(1.0, "1"), (-0.0, "-0"), (100.0, "100"), (1e-7, "1e-07"), (1e15, "1e+15")]
)
def test_numbers_are_spelled_as_the_edge_spells_them(number: float, text: str) -> None:
    assert number_text(number) == text


def test_jobs_that_kept_their_metadata_otherwise_are_shown_alike() -> None:
    old = '{"b":1,"a":{"d":0.3333333333333333,"c":1152921504606846976}}'

    assert compact_json(render_metadata(old)) == (
        '{"a":{"c":1.152921504606847e+18,"d":0.33333333333333331},"b":1}'
    )


def _of_video(metadata: Struct) -> NewJob:
    request = CreateVideoRequest(model="pro", metadata=metadata)
    request.input.prompt = "a"
    return parse_new_video(request, check_url=lambda _: None, random_seed=lambda: 1)


def _of_estimate(metadata: Struct) -> NewJob:
    request = EstimateVideoRequest(model="pro", metadata=metadata)
    request.input.prompt = "a"
    return parse_new_video(request, check_url=lambda _: None, random_seed=lambda: 1)


def _of_job(metadata: Struct) -> NewJob:
    request = CreateJobRequest(model="m", prompt="a", metadata=metadata)
    return parse_new_job(request, check_url=lambda _: None, random_seed=lambda: 1)


PLACES: list[tuple[str, Callable[[float], dict[str, Any]]]] = [
    ("metadata.a", lambda number: {"a": number}),
    ("metadata.", lambda number: {"": number}),
    ("metadata.a.b", lambda number: {"a": {"b": number, "c": 1}, "d": 2}),
    ("metadata.a[1]", lambda number: {"a": [1, number]}),
    ("metadata.a[0][1].b", lambda number: {"a": [[1, {"b": number}]]}),
    (f"metadata.{'k' * 64}…", lambda number: {"k" * 65: number}),
]


@pytest.mark.parametrize("create", [_of_video, _of_estimate, _of_job])
@pytest.mark.parametrize("place", PLACES, ids=[name for name, _ in PLACES])
@pytest.mark.parametrize(
    "number", [2.0**53, -(2.0**53), 2.0**53 + 2, 1e21, -1e300, math.nan, math.inf, -math.inf], ids=repr
)
def test_a_number_that_would_come_back_as_another_is_refused_by_its_key(
    create: Callable[[Struct], NewJob], place: tuple[str, Callable[[float], dict[str, Any]]], number: float
) -> None:
    field, sent = place
    metadata = Struct()
    metadata.update(sent(number))

    with pytest.raises(ServiceError) as refused:
        create(metadata)

    assert refused.value.reason is Reason.INVALID_FIELD
    assert refused.value.metadata == {"field": field}
    assert refused.value.message.startswith(f"Field {field} ")
    assert "write it as text" in refused.value.message
