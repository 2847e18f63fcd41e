"""What customers type: prices before spending, exit codes that programs can use, and errors that say what to do next."""

import json
import os
import pty
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from reelgate_client.cli.app import COMMANDS
from reelgate_client.cli.examination import examine
from reelgate_client.cli.exits import CommandError, CommandInterrupted, guarded
from reelgate_client.cli.profiles import login
from reelgate_client.cli.requests import body_of, files_in, resolved
from reelgate_client.errors import WaitInterrupted
from typer.testing import CliRunner

from services.cli.app import GROUPS, SECTIONS
from services.cli.entry import CUSTOMERS
from tests.patience import PATIENCE_SECONDS
from tests.unit.clients.command_line.api import VIDEOS, Api, refused
from tests.unit.clients.command_line.conftest import KEY, LIVE_KEY
from tests.unit.clients.python.service import Reply

PROMPT = "A paper boat"
HEAVY = {"httpx2", "rich", "pydantic", "asyncio", "ssl", "grpc", "psutil", "reelgate_client.client"}


def test_a_price_is_said_before_anything_is_made(command: Any, api: Api) -> None:
    outcome = command("run", "mini", PROMPT, "duration=6")

    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stderr.startswith("a video for 30 credits (test)\nvid_001 accepted\n")
    assert json.loads(outcome.stdout)["output"] == {"video_url": f"{api.url}/media/vid_001.mp4"}
    assert [each.path for each in api.asked[:2]] == ["/v1/videos/estimates", VIDEOS]
    assert api.creations()[0].json == {"model": "mini", "input": {"prompt": PROMPT, "duration": 6}}


def test_nothing_dearer_than_allowed_is_made(command: Any, api: Api) -> None:
    outcome = command("run", "mini", PROMPT, "--max-credits", "24.5")

    assert (outcome.exit_code, api.creations()) == (4, [])
    assert "costs 25 credits, and --max-credits is 24.5" in outcome.stderr


@pytest.mark.parametrize(("words", "code", "made"), [((), 2, 0), (("--yes",), 0, 1)])
def test_a_live_key_spends_only_if_somebody_agrees(
    command: Any, api: Api, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, made: int
) -> None:
    monkeypatch.setenv("REELGATE_API_KEY", LIVE_KEY)

    outcome = command("run", "mini", PROMPT, *words)

    assert (outcome.exit_code, len(api.creations())) == (code, made), outcome.stderr


@pytest.mark.parametrize(
    ("words", "refusals", "code", "advice"),
    [
        ("balance", {"GET /v1/balance": (401, "invalid_api_key")}, 3, "login"),
        ("run mini boat", {f"POST {VIDEOS}": (402, "insufficient_credits")}, 4, "balance"),
        ("run mini boat", {f"POST {VIDEOS}": (400, "invalid_request")}, 2, "change what"),
        ("run huge boat", {f"POST {VIDEOS}": (404, "model_not_found")}, 1, "models"),
        ("jobs show vid_9", {}, 1, "jobs list"),
    ],
)
def test_an_error_names_the_request_and_the_next_step(
    command: Any, api: Api, words: str, refusals: dict[str, tuple[int, str]], code: int, advice: str
) -> None:
    api.refusals = {name: refused(*what) for name, what in refusals.items()}

    outcome = command(*words.split())

    assert outcome.exit_code == code
    assert outcome.stdout == ""
    assert "request id: req_7" in outcome.stderr
    assert f"next: reelgate-client {advice}" in outcome.stderr or f"next: {advice}" in outcome.stderr


def test_a_prompt_without_a_model_is_told_what_comes_first(command: Any, api: Api) -> None:
    outcome = command("run", PROMPT)

    assert (outcome.exit_code, api.creations()) == (2, [])
    assert "next: reelgate-client run MODEL " in outcome.stderr
    assert "`reelgate-client models`" in outcome.stderr


def test_a_failed_video_exits_with_1_and_one_that_takes_too_long_with_5(command: Any, api: Api) -> None:
    api.ends_as = "failed"
    failed = command("run", "mini", PROMPT)
    api.ends_as = "processing"
    late = command("run", "mini", PROMPT, "--timeout", "1")

    assert (failed.exit_code, late.exit_code) == (1, 5)
    assert "next: reelgate-client jobs show vid_001" in failed.stderr
    assert "next: reelgate-client jobs wait vid_002" in late.stderr


@pytest.mark.parametrize(
    "words",
    [
        "run mini",
        "run mini boat duration",
        "run mini boat image=@nowhere.png",
        "run mini boat seed=1 seed=2",
        "run mini --file nowhere.txt",
        "trigger job.succeeded",
        "webhooks listen --events job.*",
        "webhooks listen --since yesterday",
        "balance --profile other",
        "completion tcsh",
        "nonsense",
    ],
)
def test_what_is_not_understood_exits_with_2_and_makes_nothing(command: Any, api: Api, words: str) -> None:
    outcome = command(*words.split())

    assert outcome.exit_code == 2, outcome.stderr
    assert "Error: " in outcome.stderr
    assert api.creations() == []


def test_an_interrupt_says_how_to_go_on() -> None:
    app = typer.Typer()
    video = type("Video", (), {"id": "vid_1"})()
    raised: list[BaseException] = [
        WaitInterrupted(video),
        CommandInterrupted("Run it again."),
        CommandError("x"),
    ]

    @app.command()
    @guarded
    def fail() -> None:
        raise raised.pop(0)

    first, second, third = (CliRunner().invoke(app) for _ in range(3))

    assert [each.exit_code for each in (first, second, third)] == [130, 130, 2]
    assert "vid_1 goes on. Wait for it: reelgate-client jobs wait vid_1" in first.stderr
    assert "Run it again." in second.stderr


def test_a_key_is_kept_for_its_owner_only_and_never_shown(
    command: Any, api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("REELGATE_API_KEY")
    without = command("balance")
    kept = command("login", given=f"{KEY}\n")
    shown = command("whoami")
    again = command("logout")
    file = tmp_path / "config" / "profiles.json"

    assert (without.exit_code, kept.exit_code, again.exit_code) == (3, 0, 0), kept.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(shown.stdout) == {
        "contract": "seedancee2",
        "environment": "test",
        "base_url": api.url,
        "key": "sk_seedancee2_test_…klmn",
        "profile": "default",
        "balance": {"available": 250, "held": 0},
        "calls_per_minute": {"limit": 600, "remaining": 598, "reset": 60},
    }
    assert KEY not in kept.output + shown.output
    assert KEY not in file.read_text()


def test_a_key_that_does_not_work_is_not_kept(command: Any, api: Api, tmp_path: Path) -> None:
    api.refusals["GET /v1/balance"] = refused(401, "invalid_api_key")

    outcome = command("login", given=f"{KEY}\n")

    assert outcome.exit_code == 3
    assert not (tmp_path / "config" / "profiles.json").exists()


def test_a_file_of_this_machine_is_uploaded_first(command: Any, api: Api, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"png")

    outcome = command("run", "mini", PROMPT, "image=@a.png", "--no-wait")

    assert outcome.exit_code == 0, outcome.stderr
    assert api.creations()[0].json["input"]["image_urls"] == ["upload://upl_1"]
    assert [each.body for each in api.asked if each.method == "PUT"] == [b"png"]


@pytest.mark.parametrize(
    ("contract", "words", "wanted"),
    [
        ("seedancee2", "audio=true image=https://a image=https://b", {"generate_audio": True, "image_urls": ["https://a", "https://b"]}),
        ("seedancee2", "start_image=https://a end_image=https://b", {"start_image_url": "https://a", "end_image_url": "https://b", "generation_type": "first_and_last_frames"}),
        ("seedancee2", "duration_seconds=6 resolution=480p aspect_ratio=16:9", {"duration": 6, "resolution": "480p", "aspect_ratio": "16:9"}),
    ],
)  # fmt: skip
def test_words_become_the_fields_of_the_contract(contract: str, words: str, wanted: dict[str, Any]) -> None:
    body = body_of(contract, model="mini", prompt=PROMPT, words=words.split())

    assert body == {"model": "mini", "input": {"prompt": PROMPT, **wanted}}


def test_the_other_contract_is_flat(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    words = ["duration=6", "callback_url=https://a", "metadata.order=7", f"image=@{tmp_path}/a.png"]
    body = body_of("nextapi", model="m", prompt=PROMPT, words=words)

    assert files_in(body) == [tmp_path / "a.png"]
    assert resolved(body, lambda _: "upload:1") == {
        "model": "m",
        "prompt": PROMPT,
        "duration_seconds": 6,
        "webhook_url": "https://a",
        "metadata": {"order": 7},
        "image_urls": ["upload:1"],
    }


def test_a_terminal_gets_a_table_and_a_program_gets_lines_of_json(command: Any, api: Api) -> None:
    command("run", "mini", PROMPT, "--no-wait")

    table = _on_a_terminal("jobs", "list")
    lines = command("jobs", "list").stdout.splitlines()

    assert [line.split()[:3] for line in table] == [["ID", "STATUS", "MODEL"], ["vid_001", "pending", "mini"]]
    assert [json.loads(line)["id"] for line in lines] == ["vid_001"]


def test_usage_has_bars_on_a_terminal(command: Any, api: Api) -> None:
    bars = {line.split()[0]: line.split()[-1] for line in _on_a_terminal("usage") if "\u2588" in line}

    assert {name: len(bar) for name, bar in bars.items()} == {"2026-11-27": 15, "2026-11-28": 30, "mini": 30}
    assert json.loads(command("usage").stdout)["summary"]["net_credits"] == 60


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("estimate seedance-2.0-mini", "no estimates"),
        ("usage", "no usage"),
        ("models", "no list of models"),
        ("run seedance-2.0-mini boat --max-credits 1", "--max-credits cannot be kept"),
    ],
)
def test_what_the_other_contract_lacks_is_said(
    command: Any, api: Api, monkeypatch: pytest.MonkeyPatch, words: str, says: str
) -> None:
    monkeypatch.setenv("REELGATE_API_KEY", "nxa_test_sk_0123456789abcdefghijklmn")

    outcome = command(*words.split())

    assert (outcome.exit_code, api.asked) == (2, [])
    assert says in outcome.stderr


def test_ctrl_c_stops_the_waiting_and_not_the_video(command: Any, api: Api) -> None:
    command("run", "mini", PROMPT, "--no-wait")
    api.ends_as = "processing"

    waiting = subprocess.Popen(
        [sys.executable, "-m", "reelgate_client.cli", "jobs", "wait", "vid_001"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiting.stderr is not None
    assert waiting.stderr.readline() == "vid_001 processing\n"
    waiting.send_signal(signal.SIGINT)
    _, told = waiting.communicate(timeout=PATIENCE_SECONDS)

    assert waiting.returncode == 130
    assert "vid_001 goes on." in told
    assert told.rstrip().endswith("jobs wait vid_001")


def _on_a_terminal(*words: str) -> list[str]:
    """Returns the lines that a command prints on a terminal."""
    ours, theirs = pty.openpty()
    program = [sys.executable, "-m", "reelgate_client.cli", *words]
    ended = subprocess.run(program, env={**os.environ, "NO_COLOR": "1"}, stdout=theirs, check=False)
    os.close(theirs)
    printed = os.read(ours, 65536).decode().splitlines()
    os.close(ours)
    assert ended.returncode == 0
    return printed


def test_a_video_is_saved_under_its_own_name(command: Any, api: Api, tmp_path: Path) -> None:
    command("run", "mini", PROMPT)
    api.refusals["GET /media/vid_001.mp4"] = Reply(200, b"mp4")

    outcome = command("jobs", "download", "vid_001")

    assert json.loads(outcome.stdout) == {"id": "vid_001", "saved": "vid_001.mp4"}
    assert (tmp_path / "vid_001.mp4").read_bytes() == b"mp4"


def test_a_doctor_says_what_is_wrong(command: Any, api: Api) -> None:
    healthy = command("doctor")
    fast = list(examine(login(None), clock=lambda: time.time() + 3600))
    api.refusals["GET /v1/balance"] = refused(401, "invalid_api_key")
    refusal = command("doctor")

    assert (healthy.exit_code, refusal.exit_code) == (0, 3)
    found = [json.loads(line) for line in healthy.stdout.splitlines()]
    assert [(each["name"], each["state"]) for each in found] == [
        (name, "ok") for name in ("login", "dns", "clock", "key", "limits")
    ]
    [clock] = [each for each in fast if each.name == "clock"]
    assert (clock.state, "ahead" in clock.says, "set the clock" in clock.advice) == ("failed", True, True)
    assert "req_7" in json.loads(refusal.stdout.splitlines()[-1])["says"]


def test_a_command_starts_without_what_only_some_commands_need() -> None:
    program = (
        "import sys, reelgate_client.cli.app, services.cli.entry;"
        f"print(*sorted({HEAVY} & sys.modules.keys()), 'services.cli.app' in sys.modules)"
    )

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert loaded.stdout.split() == ["False"]


def test_without_the_extra_the_command_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['typer'] = None; from reelgate_client.cli import main; main(['balance'])"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "pip install 'reelgate-client[cli]'" in ended.stderr


def test_the_names_of_operators_and_customers_are_apart() -> None:
    ours = {*GROUPS, *(name for names in SECTIONS.values() for name in names)}

    assert CUSTOMERS == COMMANDS
    assert not CUSTOMERS & ours


def test_a_shell_is_told_what_can_follow(command: Any, environment: dict[str, str]) -> None:
    script = command("completion", "bash").stdout
    asked = {
        "_REELGATE_CLIENT_COMPLETE": "complete_bash",
        "COMP_WORDS": "reelgate-client jo",
        "COMP_CWORD": "1",
    }

    found = subprocess.run(
        [str(Path(sys.executable).with_name("reelgate-client"))],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "complete -o default -F" in script
    assert found.stdout.split() == ["jobs"]
