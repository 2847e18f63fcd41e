"""What the bench reads, and what it says of a machine that is not fit."""

import os
import subprocess
import sys

import pytest

from tests.bench.capacity import BEGIN, END, between, cores, table
from tests.bench.counters import Counted, count_statements, for_each
from tests.bench.cpu import (
    GENERATOR,
    Meter,
    Time,
    parse_ended_children,
    parse_schedstat,
    spent,
    why_noisy,
)
from tests.bench.parts import ONLY_BY_NAME, PARTS, UnknownPartError, chosen
from tests.bench.performance import held
from tests.bench.report import Row

LOG = """\
2026-01-02 03:04:05.678 UTC [17] LOG:  statement: BEGIN
2026-01-02 03:04:05.679 UTC [17] LOG:  execute _pg3_0: SELECT 1
2026-01-02 03:04:05.679 UTC [17] DETAIL:  Parameters: $1 = 'LOG:  statement of a customer'
2026-01-02 03:04:05.680 UTC [17] LOG:  execute <unnamed>: WITH moved AS (SELECT 1)
\tSELECT * FROM moved
2026-01-02 03:04:05.681 UTC [17] LOG:  statement: COMMIT
2026-01-02 03:04:05.682 UTC [18] LOG:  checkpoint starting: time
2026-01-02 03:04:05.683 UTC [18] LOG:  statement:
\t    INSERT INTO jobs DEFAULT VALUES
"""


def test_schedstat_tells_the_time_that_runs_and_the_time_that_waits() -> None:
    assert parse_schedstat("1500 500 7\n") == Time(1500, 500)
    assert Time(1500, 500).waiting_share == 0.25
    assert Time().waiting_share == 0


def test_a_process_counts_what_its_ended_children_did() -> None:
    stat = f"7 (a (b) c) S {' '.join(str(number) for number in range(4, 53))}"

    assert parse_ended_children(stat, ticks_per_second=100) == Time(running_ns=(16 + 17) * 10_000_000)


def test_work_of_a_process_that_has_ended_is_its_parents() -> None:
    meter, children = Meter({"itself": [os.getpid()]}), -os.getpid()
    before = meter.read()["itself"][children]
    subprocess.run([sys.executable, "-c", "sum(range(5_000_000))"], check=True)

    assert meter.read()["itself"][children].running_ns > before.running_ns


def test_time_is_what_lies_between_two_readings_of_each_thread() -> None:
    before = {"jobs": {1: Time(10, 1), 2: Time(20, 2)}}
    after = {"jobs": {1: Time(15, 2), 3: Time(7, 0)}, "new": {4: Time(1, 1)}}
    assert spent(before, after) == {"jobs": Time(12, 1), "new": Time(1, 1)}


def test_a_process_that_works_has_spent_time() -> None:
    meter = Meter({"itself": [os.getpid()]})
    before = meter.read()
    total = sum(number * number for number in range(300_000))
    times = spent(before, meter.read())
    assert total
    assert times["itself"].running_ns > 1_000_000
    assert times[GENERATOR].running_ns > 1_000_000


@pytest.mark.parametrize(
    ("microseconds", "share", "said"),
    [(300, 0.2, ""), (410, 0.2, "costs 410"), (200, 0.2, "costs 200"), (300, 0.5, "waited for a core 50%")],
)
def test_an_echo_out_of_its_band_makes_a_run_noisy(microseconds: float, share: float, said: str) -> None:
    reason = why_noisy(microseconds, share)
    assert said in reason
    assert bool(reason) == bool(said)


def test_a_missed_figure_of_a_noisy_run_is_no_fault() -> None:
    def verdict(must: float | None, goal: float | None, *, noisy: str = "") -> str:
        return Row(name="poll", measured=3, must=must, goal=goal, better="lower", noisy=noisy).verdict

    assert verdict(2.5, 2.1) == "NO"
    assert verdict(2.5, 2.1, noisy="busy") == "noisy"
    assert verdict(3.5, 2.1, noisy="busy") == "yes"
    assert verdict(None, 2.1) == "NO"
    assert verdict(None, None) == "yes"


def test_statements_are_counted_and_what_frames_them_is_not() -> None:
    assert count_statements(LOG) == 3


def test_what_goes_on_anyway_is_not_counted() -> None:
    rest = Counted(statements=0, commits=0, fsyncs=0, at=0)
    before = Counted(statements=10, commits=10, fsyncs=2, at=10)
    after = Counted(statements=220, commits=420, fsyncs=2, at=20)
    assert for_each(100, rest, before, after) == {"statements": 2, "commits": 4, "fsyncs": 0}


def test_parts_are_chosen_by_name_and_run_in_their_order() -> None:
    assert chosen("") == ["start", *(name for name in PARTS if name not in ONLY_BY_NAME)]
    assert chosen("flight, poll") == ["poll", "flight"]
    assert chosen("walk, poll") == ["poll", "walk"]


def test_an_unknown_part_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(UnknownPartError, match="no part polls; there are start, poll, create"):
        chosen("poll,polls")
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "polls"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("no part polls")


def test_the_table_of_capacity_has_a_column_for_each_request_and_sums_what_serves_it() -> None:
    rows = [
        {"name": "poll: jobs-api, CPU µs", "measured": 900, "best": 800.4},
        {"name": "poll: generator, CPU µs", "measured": 100},
        {"name": "create: jobs-api, CPU µs", "measured": 1000},
        {"name": "create: PostgreSQL: billing, CPU µs", "measured": 500},
        {"name": "create: statements", "measured": 2.0, "best": None},
        {"name": "poll rate / echo rate", "measured": 0.2},
    ]
    assert table(rows).splitlines() == [
        "| CPU µs | poll | create |",
        "|---|---|---|",
        "| jobs-api | 800 | 1,000 |",
        "| PostgreSQL: billing | - | 500 |",
        "| **servers in all** | **800** | **1,500** |",
        "| generator, not of it | 100 | - |",
        "| statements | - | 2.0 |",
    ]


def test_cores_are_those_of_a_whole_job_and_its_polls() -> None:
    rows = [
        {"name": "whole walk: jobs-worker, CPU µs", "measured": 10_000},
        {"name": "poll: jobs-api, CPU µs", "measured": 500},
        {"name": "poll: PostgreSQL: jobs-api, CPU µs", "measured": 50},
        {"name": "whole walk: generator, CPU µs", "measured": 9_999},
    ]
    assert cores(rows).splitlines()[2:] == [
        "| jobs, api and worker | 0.2 | 2 | 20 |",
        "| PostgreSQL | 0.01 | 0.1 | 1 |",
    ]


def test_a_page_keeps_what_is_around_its_table() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert between(page, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"


def test_a_page_shows_what_is_held_to_a_bound_and_what_was_measured() -> None:
    rows = [
        {
            "name": "poll, CPU",
            "measured": 2.41,
            "better": "lower",
            "must": 2.5,
            "goal": 2.1,
            "verdict": "yes",
        },
        {"name": "jobs/s", "measured": 97.0, "better": "higher", "must": None, "goal": 100, "verdict": "NO"},
        {
            "name": "only told",
            "measured": 1.0,
            "better": "lower",
            "must": None,
            "goal": None,
            "verdict": "yes",
        },
    ]

    assert held(rows).splitlines()[2:] == [
        "| poll, CPU | 2.41 | ≤ 2.5 | ≤ 2.1 | yes |",
        "| jobs/s | 97 | ≥ 100 | ≥ 100 | NO |",
    ]
