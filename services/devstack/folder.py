"""The data folder of a local stack: its layout, and the secrets that are generated once."""

import os
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.common.ids import new_token
from services.devstack.errors import StackError

MEDIA_PATH = "/media"
"""Where the edge serves the media folder."""
SECRET_MODE = 0o600


@dataclass(frozen=True)
class StackFolder:
    """Paths inside a data folder."""

    root: Path

    @property
    def postgres(self) -> Path:
        """The PostgreSQL cluster."""
        return self.root / "postgres"

    @property
    def edge_config(self) -> Path:
        """The configuration of the edge."""
        return self.root / "envoy.json"

    @property
    def media(self) -> Path:
        """Files that the edge serves."""
        return self.root / "media"

    @property
    def simulator(self) -> Path:
        """Tasks and videos of the simulated provider."""
        return self.root / "simulator"

    @property
    def logs(self) -> Path:
        """One file for each process, truncated at each start."""
        return self.root / "logs"

    @property
    def supervisor_log(self) -> Path:
        """Output of a supervisor in the background."""
        return self.logs / "stack.log"

    @property
    def secrets(self) -> Path:
        """Keys that the processes share, readable by their owner only."""
        return self.root / "secrets"

    @property
    def tls(self) -> Path:
        """The stack's own certificate authority, and one folder with certificate and key per identity."""
        return self.root / "tls"

    @property
    def operator_tls(self) -> Path:
        """Certificate that commands present to services."""
        return self.tls / "operator"

    @property
    def webhooks_secret_key(self) -> Path:
        """The Fernet key that signing secrets are stored under."""
        return self.secrets / "webhooks_secret_key"

    @property
    def key_checksum_secrets(self) -> Path:
        """Secrets of the checksums of API keys."""
        return self.secrets / "key_checksum_secrets"

    @property
    def simulator_api_key(self) -> Path:
        """API key that jobs uses with the simulator."""
        return self.secrets / "simulator_api_key"

    @property
    def media_url_secret(self) -> Path:
        """What addresses of uploads are signed with."""
        return self.secrets / "media_url_secret"

    @property
    def demo_account(self) -> Path:
        """Identifier and keys of the demo account, as JSON."""
        return self.secrets / "demo_account.json"

    @property
    def environments(self) -> Path:
        """The settings of each process that runs, or ran last, as JSON by name."""
        return self.secrets / "environments.json"

    def read_password(self, role: str) -> str:
        """Returns the password of a role of the PostgreSQL cluster."""
        return self._password(role).read_text()

    def prepare(self, *, roles: Sequence[str] = ()) -> None:
        """Creates the folders, truncates the logs and generates missing secrets, including a password for each role.

        Only the owner may read them. Others may pass through only where PostgreSQL runs as another user.
        Raises StackError if others may write into the folder.
        """
        self._restrict_to_owner()
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
        _make_once(self.media_url_secret, new_token)

    def _password(self, role: str) -> Path:
        return self.secrets / f"{role}_database_password"

    def _restrict_to_owner(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        if self.root.stat().st_mode & 0o002:
            raise StackError(f"Everybody may write into {self.root}. Choose a folder of its own with --data.")
        self.root.chmod(0o711 if os.geteuid() == 0 else 0o700)


def write_secret(path: Path, text: str) -> None:
    """Writes a file that only its owner can read; the file is replaced atomically."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, SECRET_MODE), "w") as file:
        file.write(text)
    draft.replace(path)


def _make_once(path: Path, make: Callable[[], str]) -> None:
    if not path.exists():
        write_secret(path, make())
