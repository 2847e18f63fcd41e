"""What the process loads, and when."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
OF_OTHER_IMAGES = (
    "alembic",
    "av",
    "obstore",
    "PIL",
    "protovalidate",
    "psycopg",
    "sqlalchemy",
    "opentelemetry.sdk",
)


def run(code: str) -> None:
    path = f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'gen')!r}]\n"
    done = subprocess.run([sys.executable, "-c", path + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_it_runs_without_what_only_services_need() -> None:
    blocked = f"sys.modules.update(dict.fromkeys({OF_OTHER_IMAGES!r}))\n"

    run(blocked + "import services.mcp.process, services.mcp.stdio")


def test_until_somebody_calls_it_is_nothing_but_python() -> None:
    run(
        "import services.mcp.__main__, services.mcp.waiting\n"
        "from importlib.util import find_spec\n"
        "foreign = {name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names\n"
        "assert foreign <= {'services', '__main__', 'sitecustomize', '_virtualenv'} | "
        "{name for name in foreign if name.startswith('__editable__') or 'distutils' in name}, foreign"
    )
