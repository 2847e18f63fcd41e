"""A video for each line of a file: a rerun goes on where it stopped, and pays for nothing twice."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.clients.command_line.api import VIDEOS, Api, refused

LINES = ["one", "two", "", "# a note", "three", "two"]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.txt"
    file.write_text("\n".join(LINES))
    return file


def _prompts(api: Api) -> list[str]:
    return sorted(each.json["input"]["prompt"] for each in api.creations())


def _state(prompts: Path) -> Path:
    return prompts.with_name("prompts.txt.state.jsonl")


def test_each_line_becomes_a_video_once_however_often_it_is_run(
    command: Any, api: Api, prompts: Path
) -> None:
    first = command("run", "mini", "--file", str(prompts), "duration=6")
    again = command("run", "mini", "--file", str(prompts), "duration=6")

    assert (first.exit_code, again.exit_code) == (0, 0), first.stderr
    assert _prompts(api) == ["one", "three", "two", "two"]
    assert len(api.videos) == 4
    assert "4 videos for 120 credits" in first.stderr
    assert sorted(json.loads(line)["line"] for line in first.stdout.splitlines()) == [1, 2, 5, 6]
    assert again.stdout == ""
    assert sum(each.path == "/v1/videos/estimates" for each in api.asked) == 1


def test_a_creation_whose_answer_was_lost_is_repeated_with_its_key(
    command: Any, api: Api, prompts: Path
) -> None:
    api.refusals[f"POST {VIDEOS}"] = refused(402, "insufficient_credits")
    stopped = command("run", "mini", "--file", str(prompts))
    api.refusals.clear()
    sent = {each.headers["idempotency-key"] for each in api.creations()}
    api.lost_creations = 1
    second = command("run", "mini", "--file", str(prompts))

    keys = {each.headers["idempotency-key"] for each in api.creations()}
    assert (stopped.exit_code, second.exit_code) == (4, 0), second.stderr
    assert sent <= keys
    assert (len(keys), len(api.videos)) == (4, 4)


def test_a_step_that_was_killed_half_way_is_taken_again(command: Any, api: Api, prompts: Path) -> None:
    command("run", "mini", "--file", str(prompts), "--no-wait")
    state = _state(prompts)
    whole = state.read_text().splitlines()
    begun = [line for line in whole if '"id"' not in line]
    state.write_text("\n".join(begun) + '\n{"line": "cut o')

    outcome = command("run", "mini", "--file", str(prompts))

    assert outcome.exit_code == 0, outcome.stderr
    assert len(api.videos) == 4


def test_a_line_that_was_sent_too_long_ago_is_not_sent_again(command: Any, api: Api, prompts: Path) -> None:
    command("run", "mini", "--file", str(prompts), "--no-wait")
    state = _state(prompts)
    old = [json.loads(line) for line in state.read_text().splitlines() if '"id"' not in line]
    state.write_text(
        "".join(json.dumps({**each, **({"sent_at": 1} if "sent_at" in each else {})}) + "\n" for each in old)
    )
    made = len(api.creations())

    outcome = command("run", "mini", "--file", str(prompts))

    assert outcome.exit_code == 1
    assert len(api.creations()) == made
    assert "jobs list" in outcome.stderr


@pytest.mark.parametrize("at_once", [1, 2])
def test_no_more_are_under_way_than_asked(command: Any, api: Api, tmp_path: Path, at_once: int) -> None:
    file = tmp_path / "many.txt"
    file.write_text("\n".join(f"boat {number}" for number in range(8)))

    outcome = command("run", "mini", "--file", str(file), "--at-once", str(at_once))

    assert outcome.exit_code == 0, outcome.stderr
    assert (len(api.videos), api.most_unfinished) == (8, at_once)


def test_a_video_that_fails_lets_the_others_go_on(command: Any, api: Api, prompts: Path) -> None:
    api.ends_as = "failed"

    outcome = command("run", "mini", "--file", str(prompts))

    assert outcome.exit_code == 1
    assert len(api.videos) == 4
    assert "0 made, 4 not" in outcome.stderr


def test_lines_of_json_have_settings_of_their_own(command: Any, api: Api, tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text(
        '{"prompt": "one", "duration": 7}\n{"prompt": "two", "model": "fast", "metadata": {"n": 2}}\n'
    )

    outcome = command("run", "mini", "--file", str(file), "resolution=480p")

    assert outcome.exit_code == 0, outcome.stderr
    assert [each.json for each in sorted(api.creations(), key=lambda each: each.json["input"]["prompt"])] == [
        {"model": "mini", "input": {"prompt": "one", "resolution": "480p", "duration": 7}},
        {"model": "fast", "metadata": {"n": 2}, "input": {"prompt": "two", "resolution": "480p"}},
    ]


def test_what_the_whole_file_costs_is_kept_below_the_most(command: Any, api: Api, prompts: Path) -> None:
    outcome = command("run", "mini", "--file", str(prompts), "--max-credits", "99")

    assert (outcome.exit_code, api.creations()) == (4, [])
