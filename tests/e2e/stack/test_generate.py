"""A video from the command line: the whole road, and what a person sees of it."""

import json
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from tests.e2e.local_stack import Account, Stack, reelgate
from tests.patience import PATIENCE_SECONDS


def announced(stack: Stack, *, method: str) -> urllib.request.Request:
    """Returns the request of a curl command that the stack announced, read as a shell reads it."""
    commands = [part.partition("\n\n")[0] for part in stack.announcement.split("\ncurl ")[1:]]
    for command in commands:
        words = shlex.split(command.replace("\\\n", " "))
        headers = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
        body = next((words[i + 1].encode() for i, word in enumerate(words) if word == "-d"), None)
        url = next(word for word in words if word.startswith("http"))
        request = urllib.request.Request(url, data=body, headers=headers)
        if request.get_method() == method:
            return request
    raise AssertionError(f"no {method} in {stack.announcement}")


def answer(request: urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
        return json.load(response)["data"]


def test_the_announced_commands_work_as_they_stand(stack: Stack) -> None:
    created = answer(announced(stack, method="POST"))

    listed = answer(announced(stack, method="GET"))

    assert created["status"] == "pending"
    assert [video["id"] for video in listed] == [created["id"]]


def test_a_generated_video_is_saved_with_the_right_size_and_duration(stack: Stack, tmp_path: Path) -> None:
    target = tmp_path / "boat.mp4"

    done = stack.run(
        "generate", "a paper boat", "--duration", "4", "--resolution", "480p", "--audio", "--out", str(target)
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"{target} saved, 20 credits charged\n")
    with av.open(str(target)) as video:
        picture = video.streams.video[0]
        assert (picture.width, picture.height) == (864, 496)
        assert picture.duration is not None
        assert picture.time_base is not None
        assert float(picture.duration * picture.time_base) == pytest.approx(4, abs=0.1)
        assert len(video.streams.audio) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["boat.mp4"]


def test_a_local_image_is_a_reference_and_a_finished_video_can_be_fetched_again(
    stack: Stack, tmp_path: Path
) -> None:
    image = tmp_path / "red.png"
    Image.new("RGB", (640, 640), "red").save(image)
    first, again = tmp_path / "first.mp4", tmp_path / "again.mp4"

    done = stack.run(
        "generate",
        "red",
        "--duration",
        "4",
        "--resolution",
        "480p",
        "--image",
        str(image),
        "--out",
        str(first),
    )
    video_id = done.stdout.split()[0]
    resumed = stack.run("generate", "--resume", video_id, "--out", str(again))

    assert done.returncode == 0, done.stderr
    assert resumed.returncode == 0, resumed.stderr
    assert again.read_bytes() == first.read_bytes()
    uploads = list((stack.folder / "media" / ".uploads").iterdir())
    assert image.read_bytes() in [upload.read_bytes() for upload in uploads]


def test_a_video_that_fails_is_told_with_the_message_of_the_contract(stack: Stack, tmp_path: Path) -> None:
    target = tmp_path / "never.mp4"

    failed = stack.run("generate", "[simulate: moderated video]", "--duration", "4", "--out", str(target))

    assert failed.returncode == 1
    assert re.fullmatch(r"Error: vid_\w+ failed: [A-Z].+\.\n", failed.stderr)
    assert list(tmp_path.iterdir()) == []


def test_what_the_contract_refuses_is_told_in_its_words(stack: Stack) -> None:
    refused = stack.run("generate", "a boat", "--resolution", "1080p")

    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: ")
    assert "1080p" in refused.stderr


def test_another_stack_is_reached_by_address_and_key_and_judges_files(
    stack: Stack, account: Account, tmp_path: Path
) -> None:
    image = tmp_path / "red.png"
    Image.new("RGB", (64, 64), "red").save(image)
    there = ("--target", stack.edge, "--key", account.keys["test"])

    refused = reelgate("generate", "red", "--image", str(image), *there)
    done = reelgate(
        "generate", "red", "--duration", "4", "--resolution", "480p", "--out", str(tmp_path / "v.mp4"), *there
    )

    assert refused.returncode == 1
    assert refused.stderr == (
        f"Error: {image} was not taken: The file must have sides of 300 to 6000 pixels; it has 64x64.\n"
    )
    assert done.returncode == 0, done.stderr


def test_ctrl_c_says_how_to_come_back_for_the_video(stack: Stack) -> None:
    command = [sys.executable, "-m", "services.cli", "generate", "[simulate: slow 60] a boat"]
    place = ["--data", str(stack.folder)]
    with subprocess.Popen(
        [*command, *place], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stdout is not None
        video_id = waiting.stdout.readline().split()[0]

        waiting.send_signal(signal.SIGINT)

        _, told = waiting.communicate(timeout=PATIENCE_SECONDS)
        assert waiting.returncode == 130
        assert told.endswith(
            f"{video_id} goes on without you. Fetch it with: reelgate generate --resume {video_id}\n"
        )
