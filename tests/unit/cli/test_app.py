import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.app import GROUPS, app, main

OPERATING = Path(__file__).parents[3] / "docs" / "operating.md"


@pytest.mark.parametrize(
    "command",
    [
        "account create acme --credits ten",
        "account create acme --credits -1",
        "account create acme --contract other",
        "credits grant acct_1 0.0000001 --reason gift",
        "credits grant acct_1 5",
        "key create acct_1",
        "key create acct_1 --environment staging",
        "key rotate key_1",
        "key rotate key_1 --overlap 24",
        "key limits key_1 --per-day 5 --reason budget",
        "key models key_1 --reason pilot",
        "key models key_1 mini --all --reason pilot",
        "key rules key_1 --kind root --reason pilot",
        "key rules key_1 --calls-per-minute 0 --reason pilot",
        "account rules acct_1 --jobs-at-once many --reason pilot",
        "account rules acct_1 --jobs-at-once 5",
        "credits correct acct_1 --reason mistake",
        "credits correct acct_1 --add 1 --take 1 --reason mistake",
        "credits correct acct_1 --take -1 --reason mistake",
        "account suspend acct_1",
        "account limits acct_1 --reason budget",
        "account limits acct_1 --per-day much --reason budget",
        "account limits acct_1 --per-day 5",
        "statement acct_1 --format xml",
        "price set --version v --model pro --resolution 720p --credits-per-second 1 --reason new",
        "price load nowhere.yaml --reason new",
        "job list --older-than soon",
        "job list --state lost",
        "job list --limit 1001",
        "job fail vid_1",
        "job settle vid_1 --reason stuck",
        "job settle vid_1 --as lost --reason stuck",
        "ledger release vid_1",
        "ledger reconcile",
        "job refund vid_1",
        "event list --limit 1001",
        "event retry --reason mended",
        "event hand-over --reason restored",
        "event hand-over --since 2026-06-01T10:00:00Z",
        "event retry evt_1",
        "event retry evt_1 --all --reason mended",
        "job refund vid_1 --amount -1 --reason sorry",
        "up --port 65536",
        "up --simulator-mode perfect",
        "generate",
        "generate prompt --resume vid_1",
        "generate prompt --target http://127.0.0.1:1",
        "nonsense",
    ],
)
def test_a_command_that_is_not_understood_exits_with_2(command: str, tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, command.split(), env={"REELGATE_DATA": str(tmp_path)})

    assert outcome.exit_code == 2, outcome.output
    assert "Error: " in outcome.output


@pytest.mark.parametrize(
    "command",
    [
        "account create acme",
        "key list acct_1",
        "account limits acct_1 --per-job none --reason budget",
        "credits grant acct_1 1.05 --reason gift",
        "credits correct acct_1 --take 1.05 --reason mistake",
        "statement acct_1 --format csv",
        "price list",
        "job list",
        "job recheck vid_1 --reason stuck",
        "event list",
        "event retry --all --reason mended",
        "event hand-over --since 2026-06-01T10:00:00Z --reason restored",
        "key rotate key_1 --overlap 0s",
        "audit list",
        "ledger verify",
        "generate prompt",
        "migrate",
    ],
)
def test_without_a_stack_a_command_says_how_to_start_one(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--data", str(tmp_path)])

    assert ended.value.code == 1
    assert capsys.readouterr().err == f"Error: No stack runs on {tmp_path}. Start one with `reelgate up`.\n"


def test_status_without_a_stack_has_the_same_keys_and_exits_with_1(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, ["status", "--json", "--data", str(tmp_path)])

    assert outcome.exit_code == 1
    assert json.loads(outcome.stdout) == {
        "ready": False,
        "edge": None,
        "grpc": {},
        "database": {},
        "processes": [],
        "phases": {},
        "metrics": {},
        "stalled": None,
        "refused_events": None,
        "credentials_out": None,
    }


def test_down_without_a_stack_is_done_already(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, ["down", "--data", str(tmp_path)])

    assert outcome.exit_code == 0
    assert outcome.stdout == f"No stack runs on {tmp_path}.\n"


def test_a_database_that_cannot_be_migrated_is_named_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["migrate", "--jobs", "postgresql://nobody@127.0.0.1:1/jobs", "--data", str(tmp_path)])

    told = capsys.readouterr().err
    assert ended.value.code == 1
    assert told.startswith("Error: jobs cannot be migrated: ")
    assert told.count("\n") == 1


def test_a_folder_that_cannot_be_used_is_an_error_not_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SystemExit) as ended:
        main(["up", "--data", str(tmp_path / "file")])

    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("Error: [Errno ")


def test_a_log_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "edge.log").write_text("one\ntwo\n")

    with pytest.raises(SystemExit) as ended:
        main(["logs", "jbos", "--data", str(tmp_path)])

    assert ended.value.code == 1
    assert "there are: edge" in capsys.readouterr().err


def test_the_page_for_operators_names_every_command_of_theirs() -> None:
    page = OPERATING.read_text()
    commands = [
        f"{name} {command.name}" for name, group in GROUPS.items() for command in group.registered_commands
    ]

    missing = [command for command in (*commands, "statement") if f"`{command}" not in page]

    assert "ledger verify" in commands
    assert missing == []


def test_a_command_starts_without_what_only_some_commands_need() -> None:
    heavy = {"aiohttp", "grpc", "google.protobuf", "psycopg", "rich", "sqlalchemy", "yaml"}
    program = f"import sys, services.cli.app; print(*sorted({heavy} & sys.modules.keys()))"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert loaded.stdout == "\n"
