"""The data folder of a local stack: what lies where, and the secrets made for it once."""

import os
import shutil
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.common.ids import new_id, new_token
from services.devstack.errors import StackError

MEDIA_PATH = "/media"
"""Where the edge serves the media folder."""
SECRET_MODE = 0o600


@dataclass(frozen=True)
class StackFolder:
    """Where a stack keeps its things."""

    root: Path

    @property
    def postgres(self) -> Path:
        """The PostgreSQL cluster."""
        return self.root / "postgres"

    @property
    def edge_config(self) -> Path:
        """What the edge was started with."""
        return self.root / "envoy.yaml"

    @property
    def media(self) -> Path:
        """What the edge serves as files."""
        return self.root / "media"

    @property
    def simulator(self) -> Path:
        """Tasks and videos of the simulated provider."""
        return self.root / "simulator"

    @property
    def logs(self) -> Path:
        """One file for each process, begun anew at each start."""
        return self.root / "logs"

    @property
    def supervisor_log(self) -> Path:
        """What a supervisor in the background says."""
        return self.logs / "stack.log"

    @property
    def secrets(self) -> Path:
        """Keys that the processes share, readable by their owner only."""
        return self.root / "secrets"

    @property
    def tls(self) -> Path:
        """The stack's own authority, and a folder of certificate and key for each of those that show one."""
        return self.root / "tls"

    @property
    def operator_tls(self) -> Path:
        """What commands show to services."""
        return self.tls / "operator"

    @property
    def webhooks_secret_key(self) -> Path:
        """The Fernet key that signing secrets are stored under."""
        return self.secrets / "webhooks_secret_key"

    @property
    def key_checksum_secrets(self) -> Path:
        """What API keys are signed with."""
        return self.secrets / "key_checksum_secrets"

    @property
    def simulator_api_key(self) -> Path:
        """What jobs shows to the simulator."""
        return self.secrets / "simulator_api_key"

    @property
    def demo_account(self) -> Path:
        """Identifier and keys of the demo account, as JSON."""
        return self.secrets / "demo_account.json"

    def read_password(self, role: str) -> str:
        """Returns the password of a role of the PostgreSQL cluster."""
        return self._password(role).read_text()

    def prepare(self, *, roles: Sequence[str] = ()) -> None:
        """Makes the folders, empties the logs and makes the secrets that are missing, a password for each role too.

        Others than the owner may read nothing, and pass only where PostgreSQL runs as somebody else.
        Raises StackError when others may write into the folder.
        """
        self._keep_to_ourselves()
        for folder in (self.media, self.simulator, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.secrets, self.tls, self.logs):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)
        for log in self.logs.glob("*.log"):
            os.truncate(log, 0)
            log.chmod(SECRET_MODE)
        for role in roles:
            _make_once(self._password(role), new_token)
        _make_once(self.webhooks_secret_key, lambda: urlsafe_b64encode(os.urandom(32)).decode())
        _make_once(self.key_checksum_secrets, new_token)
        _make_once(self.simulator_api_key, new_token)

    def _password(self, role: str) -> Path:
        return self.secrets / f"{role}_database_password"

    def _keep_to_ourselves(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        if self.root.stat().st_mode & 0o002:
            raise StackError(f"Everybody may write into {self.root}. Choose a folder of its own with --data.")
        self.root.chmod(0o711 if os.geteuid() == 0 else 0o700)

    def keep_upload(self, source: Path) -> str:
        """Copies a file to where the edge serves it. Returns its path below the media address."""
        name = f"uploads/{new_id('file')}{source.suffix.lower()}"
        target = self.media / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        return name


def write_secret(path: Path, text: str) -> None:
    """Writes a file that only its owner can read; it appears whole or not at all."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET_MODE), "w") as file:
        file.write(text)
    draft.replace(path)


def _make_once(path: Path, make: Callable[[], str]) -> None:
    if not path.exists():
        write_secret(path, make())
