"""Envoy's configuration, and its process.

`python -m services.edge render` prints the configuration, `tls` the file with the certificate that it refers to,
`run [FILE]` writes both, to FILE and beside it, and becomes Envoy, `drain` returns when a running Envoy may be stopped.
"""

import asyncio
import os
import sys
from pathlib import Path

from services.common.extras import needs_extra
from services.common.settings import SettingsError, load_settings
from services.edge.drain import drain
from services.edge.process import command, write_config
from services.edge.render import as_yaml, render
from services.edge.settings import PREFIX, EdgeSettings
from services.edge.tls import secret_text

USAGE = "usage: python -m services.edge render | tls | run [FILE] | drain"


def main(arguments: list[str], settings: EdgeSettings) -> None:
    """Does what the first argument says. Returns unless that is `run`."""
    match arguments:
        case ["render"]:
            sys.stdout.write(as_yaml(render(settings)))
        case ["tls"] if settings.tls_certificate_file is not None:
            sys.stdout.write(secret_text(settings))
        case ["run", *file] if len(file) <= 1:
            config = write_config(settings, Path(file[0]) if file else None)
            with needs_extra("edge"):
                words = command(config, concurrency=settings.concurrency)
            os.execv(words[0], words)  # noqa: S606
        case ["drain"]:
            left = asyncio.run(drain(settings))
            sys.stdout.write(f"{left} requests are still open.\n")
        case _:
            sys.exit(USAGE)


if __name__ == "__main__":
    try:
        main(sys.argv[1:], load_settings(EdgeSettings, prefix=PREFIX, environment=os.environ))
    except SettingsError as error:
        sys.exit(str(error))
