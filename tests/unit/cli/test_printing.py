import json
from collections.abc import AsyncIterator, Sequence

import pytest
from reelgate.admin.v1.account_pb2 import SpendLimits
from reelgate.admin.v1.statement_pb2 import MovementKind, StatementLine

from services.cli.commands.statement import PRINTED, Format
from services.cli.printing import print_json, print_json_array, print_pairs, print_table

LINE = StatementLine(
    version=7,
    occurred_at="2026-06-01T10:00:00.000Z",
    kind=MovementKind.MOVEMENT_KIND_CAPTURE,
    reference="vid_1",
    to_available_micros=-1_234_500_000,
    to_held_micros=0,
    available_micros=5,
    held_micros=20_000_000,
    reason='a "fair", share',
)


async def each(items: Sequence[object]) -> AsyncIterator[object]:
    for item in items:
        yield item


async def lines(*found: StatementLine) -> AsyncIterator[StatementLine]:
    for line in found:
        yield line


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "heading"), [("long cell", "b"), ("", "")])

    assert capsys.readouterr().out == "a          heading\nlong cell  b\n\n"


def test_values_stand_under_each_other_whatever_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    print_pairs({"account": "acct_1", "live key": "sk_1", "live webhook secret": ""})

    assert capsys.readouterr().out == (
        "account              acct_1\nlive key             sk_1\nlive webhook secret\n"
    )


def test_what_somebody_wrote_cannot_break_a_line_or_order_the_terminal_about(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("why",), [("one\ntwo\x1b[2J",)])

    assert capsys.readouterr().out == "why\none two [2J\n"


def test_json_has_an_object_for_each_message(capsys: pytest.CaptureFixture[str]) -> None:
    print_json([SpendLimits(per_job_micros=1, per_month_micros=3)])

    assert json.loads(capsys.readouterr().out) == [
        {"per_job_micros": 1, "per_day_micros": None, "per_month_micros": 3}
    ]


@pytest.mark.parametrize("items", [[], [1], [{"a": "ü"}, {"b": None}]])
async def test_an_array_printed_piece_by_piece_is_json(
    items: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    await print_json_array(each(items))

    assert json.loads(capsys.readouterr().out) == items


async def test_a_statement_for_spreadsheets_counts_in_exact_credits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    await PRINTED[Format.CSV](lines(LINE))

    assert capsys.readouterr().out == (
        "version,occurred_at,kind,reference,to_available,to_held,available,held,reason\n"
        '7,2026-06-01T10:00:00.000Z,capture,vid_1,-1234.5,0,0.000005,20,"a ""fair"", share"\n'
    )


async def test_a_statement_for_people_stands_under_its_headings(capsys: pytest.CaptureFixture[str]) -> None:
    await PRINTED[Format.TABLE](lines(LINE))

    headings, shown = capsys.readouterr().out.splitlines()
    for heading, cell in (("when", "2026"), ("what", "capture"), ("for", "vid_1"), ("why", "a ")):
        assert headings.index(heading) == shown.index(cell)
    assert shown[: headings.index("change") + len("change")].endswith(" -1,234.5")
