"""What a newcomer does: clone, `make up`, a first video in each way, Ctrl-C: `python -m tests.newcomer.first_video`.

The ways: the two printed curls, the quickstart's Python and TypeScript, and the reference in a browser.

Prints how long each took. `--fresh` leaves the caches of packages alone and downloads everything.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.browser import in_browser
from tests.newcomer.quickstart import NODE_STEPS, PYTHON_STEPS, Quickstart
from tests.newcomer.video import described

ROOT = Path(__file__).parents[2]
READY_SECONDS_MAX = 600
VIDEO_SECONDS_MAX = 180
STOP_SECONDS_MAX = 60
COMMAND = re.compile(r"^curl (?:.*\\\n)*.*$", re.MULTILINE)
EXPORT = re.compile(r"^export (\w+)=(.*)$", re.MULTILINE)
BROWSER = Path(__file__).with_name("first_video.mjs")


def main(*, fresh: bool) -> None:
    """Goes the whole way. Raises AssertionError, naming what a newcomer would see, where it ends."""
    with tempfile.TemporaryDirectory(prefix="reelgate-newcomer-") as folder:
        Path(folder).chmod(0o711)  # as root, PostgreSQL runs as another user who must get in
        clone = Path(folder) / "reelgate"
        with timed("clone"):
            subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        with timed("make up until it is ready"):
            up = subprocess.Popen(
                ["make", "up"],
                cwd=clone,
                env=environment(Path(folder) / "caches" if fresh else None),
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,  # a terminal's foreground group
            )
            try:
                printed = announcement(up)
            except BaseException:
                os.killpg(up.pid, signal.SIGINT)
                raise
        try:
            first_videos(Path(folder), printed)
        finally:
            with timed("Ctrl-C until all has ended"):
                os.killpg(up.pid, signal.SIGINT)
                up.wait(STOP_SECONDS_MAX)
        left = running_in(clone)
        assert not left, f"still running: {left}"
    print("Nothing is left running.")


def first_videos(folder: Path, printed: str) -> None:
    """Makes a video in each way that the pages show, with what `make up` printed. `folder` holds the clone."""
    create, poll = COMMAND.findall(printed)
    exported = dict(EXPORT.findall(printed))
    with timed("curl: from the first command to the video"):
        curl(create)
        finished = until_finished(poll)
    print(saved(finished["output"]["video_url"], folder / "first.mp4"))
    quickstart = Quickstart(folder, environment(None) | exported)
    with timed("build the packages of the clients"):
        quickstart.build_clients()
    for language, steps in (("Python", PYTHON_STEPS), ("TypeScript", NODE_STEPS)):
        with timed(f"{language}: install the client"):
            quickstart.install(steps)
        with timed(f"{language}: from running the program to the saved video"):
            quickstart.run(steps)
        print(described(folder / steps.video))
    with timed("page: from opening the address to the video"):
        made = in_browser(BROWSER, exported["REELGATE_BASE_URL"], exported["REELGATE_API_KEY"])
    print(saved(made["video_url"], folder / "page.mp4"))


def saved(address: str, path: Path) -> str:
    """Downloads a video. Returns what it is."""
    subprocess.run(["curl", "-sf", "-o", path, address], check=True)
    return described(path)


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Prints how long the block took."""
    started = time.monotonic()
    yield
    print(f"{time.monotonic() - started:6.1f} s  {step}", flush=True)


def environment(caches: Path | None) -> dict[str, str]:
    """Returns a newcomer's environment; with `caches`, nothing was ever downloaded."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    if caches is None:
        return inherited
    return inherited | {"PIP_CACHE_DIR": str(caches / "pip"), "UV_CACHE_DIR": str(caches / "uv")}


def announcement(up: subprocess.Popen[str]) -> str:
    """Returns what `make up` prints, read to its end."""
    assert up.stdout is not None
    deadline, lines = time.monotonic() + READY_SECONDS_MAX, [""]
    while not lines[-1].startswith("Stop "):
        assert time.monotonic() < deadline, "make up was not ready in time"
        lines.append(up.stdout.readline())
        assert lines[-1], "make up ended"
    return "".join(lines)


def curl(command: str) -> Any:
    """Runs a printed command in a shell, as it stands. Returns the `data` of its answer."""
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert "data" in answer, done.stdout
    return answer["data"]


def until_finished(poll: str) -> Any:
    """Repeats the printed command until the newest video has completed. Returns it."""
    deadline = time.monotonic() + VIDEO_SECONDS_MAX
    while (newest := curl(poll)[0])["status"] != "completed":
        assert newest["status"] != "failed", newest
        assert time.monotonic() < deadline, newest
        time.sleep(0.5)
    return newest


def running_in(folder: Path) -> list[str]:
    """Returns the command lines of all processes that name a folder, or work in it."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            if str(folder) in line or str(folder) in process.cwd():
                found.append(line)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


if __name__ == "__main__":
    main(fresh="--fresh" in sys.argv[1:])
