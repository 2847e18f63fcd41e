import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.devstack.cli import app, main


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
        "credits grant acct_1 1.05 --reason gift",
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
