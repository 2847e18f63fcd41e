import stat
from pathlib import Path

import pytest

from services.devstack.errors import StackError
from services.devstack.folder import StackFolder


def test_secrets_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path / "stack")
    folder.prepare()
    secrets = {path: path.read_text() for path in folder.secrets.iterdir()}

    folder.prepare()

    assert set(secrets) == {
        folder.webhooks_secret_key,
        folder.key_checksum_secrets,
        folder.simulator_api_key,
        folder.media_url_secret,
    }
    assert {path: path.read_text() for path in folder.secrets.iterdir()} == secrets
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    assert stat.S_IMODE(folder.secrets.stat().st_mode) == 0o700


def test_others_read_nothing_of_it_also_where_they_could_before(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path / "stack")
    folder.logs.mkdir(parents=True)
    log = folder.logs / "jobs.log"
    log.write_text("from yesterday")
    for path, mode in ((folder.root, 0o755), (folder.logs, 0o755), (log, 0o644)):
        path.chmod(mode)

    folder.prepare(roles=("postgres",))

    kept = (folder.root, folder.logs, log, folder.secrets, *folder.secrets.iterdir())
    assert [path for path in kept if path.stat().st_mode & 0o066] == []
    assert not log.stat().st_mode & 0o077
    assert len(folder.read_password("postgres")) == 43


def test_a_folder_that_everybody_writes_into_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)

    with pytest.raises(StackError, match="Everybody may write into"):
        StackFolder(shared).prepare()

    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777


def test_logs_begin_anew_at_each_start(tmp_path: Path) -> None:
    folder = StackFolder(tmp_path)
    folder.prepare()
    log = folder.logs / "jobs.log"
    log.write_text("from yesterday")

    folder.prepare()

    assert log.read_text() == ""
