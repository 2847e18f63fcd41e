"""Only what is sampled becomes a span; the rest passes on what it was given."""

from contextlib import suppress
from pathlib import Path

import pytest

from services.common.telemetry.tracing import (
    ATTRIBUTES,
    is_sampled,
    kept_traceparent,
    span,
    traceparent,
)
from tests.spans import SAMPLED, TRACE, UNSAMPLED, parent_of, spans_kept, trace_of


@pytest.fixture(autouse=True)
def nothing_before() -> None:
    traceparent.set("")


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (SAMPLED, True),
        (SAMPLED[:-2] + "03", True),
        (UNSAMPLED, False),
        (SAMPLED[:-2] + "02", False),
        ("", False),
        (SAMPLED + "-more", False),
        (SAMPLED[:-1], False),
        ("x" * 400, False),
    ],
)
def test_one_bit_of_the_header_decides(header: str, sampled: bool) -> None:
    traceparent.set(header)

    with spans_kept() as kept, span("any"):
        inside = traceparent.get()

    assert is_sampled(header) is sampled
    assert len(kept.get_finished_spans()) == sampled
    assert (inside != header) is sampled
    assert kept_traceparent() == (header if sampled else None)


def test_what_begins_inside_a_span_is_below_it() -> None:
    traceparent.set(SAMPLED)

    with spans_kept() as kept:
        with span("outer"):
            outer = traceparent.get()
            with span("inner"):
                pass
            assert traceparent.get() == outer
        assert traceparent.get() == SAMPLED

    inner, above = kept.get_finished_spans()
    assert (inner.name, above.name) == ("inner", "outer")
    assert parent_of(inner) == outer[36:52]
    assert parent_of(above) == SAMPLED[36:52]
    assert {trace_of(each) for each in (inner, above)} == {TRACE}


def test_a_stored_parent_wins_over_the_present_span() -> None:
    with spans_kept() as kept, span("later", parent=SAMPLED):
        pass

    [found] = kept.get_finished_spans()
    assert parent_of(found) == SAMPLED[36:52]


@pytest.mark.parametrize("junk", ["00-" + "z" * 49 + "-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01"])
def test_a_header_that_names_no_span_makes_none(junk: str) -> None:
    with spans_kept() as kept, span("any", parent=junk):
        pass

    assert not kept.get_finished_spans()


def test_without_a_collector_a_sampled_call_only_passes_its_header_on() -> None:
    traceparent.set(SAMPLED)

    with span("any"):
        inside = traceparent.get()

    assert inside == SAMPLED


def test_of_an_error_a_span_says_its_type_and_not_what_it_says() -> None:
    with spans_kept() as kept, pytest.raises(ValueError), span("any", parent=SAMPLED):
        raise ValueError("a prompt")

    [found] = kept.get_finished_spans()
    assert found.attributes == {"error.type": "ValueError"}
    assert found.events == ()
    assert "a prompt" not in found.to_json()


@pytest.mark.parametrize(("code", "is_error"), [("OK", False), ("NOT_FOUND", False), ("INTERNAL", True)])
def test_a_refusal_is_no_error_of_the_service(code: str, is_error: bool) -> None:
    with spans_kept() as kept, suppress(ValueError), span("any", parent=SAMPLED) as answered:
        answered.end_call(code)
        raise ValueError

    [found] = kept.get_finished_spans()
    assert found.attributes is not None
    assert found.attributes[ATTRIBUTES["code"]] == code
    assert (not found.status.is_ok and not found.status.is_unset) is is_error


def test_attributes_are_a_closed_list() -> None:
    with spans_kept(), pytest.raises(KeyError):
        span("any", parent=SAMPLED, prompt="a cat")


def test_recording_ends_with_its_block() -> None:
    with spans_kept() as outer:
        with spans_kept():
            pass
        with span("any", parent=SAMPLED):
            pass

    assert len(outer.get_finished_spans()) == 1


def test_the_page_names_every_attribute_that_there_can_be() -> None:
    page = (Path(__file__).parents[4] / "docs" / "telemetry.md").read_text(encoding="utf-8")

    assert [name for name in ATTRIBUTES.values() if f"`{name}`" not in page] == []
