"""The parts of the distribution that are installed only where they are needed: `pip install 'reelgate[NAME]'`."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

OURS = ("services", "reelgate", "buf")


@contextmanager
def needs_extra(name: str) -> Iterator[None]:
    """Ends the program with one line that says what to install, if the block needs a package that is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in OURS:
            raise
        raise SystemExit(
            f"{missing} is not installed, which this needs: pip install 'reelgate[{name}]'"
        ) from error


def package_folder(name: str) -> Path:
    """Returns where an installed package is, without importing it. Raises ModuleNotFoundError."""
    package = find_spec(name)
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return Path(package.submodule_search_locations[0])
