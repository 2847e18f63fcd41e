"""Where the pages are that were built for this installation."""

from pathlib import Path
from typing import Final

MANIFEST: Final = "site.json"
"""What a folder of pages holds besides them: how each is served."""
PACKAGES: Final = Path(__file__).parents[2]
SHIPPED_IN: Final = (PACKAGES / "services" / "edge" / "site", PACKAGES / "build" / "site")
"""In a wheel, and in a checkout after `make site`."""


def shipped_site() -> Path | None:
    """Returns the folder of the pages that came with this installation, if there are any."""
    return next((folder for folder in SHIPPED_IN if (folder / MANIFEST).is_file()), None)
