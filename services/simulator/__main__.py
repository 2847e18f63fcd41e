import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping

from services.common.event_loop import run_to_end
from services.common.extras import needs_extra, package_folder
from services.common.settings import SettingsError, load_settings
from services.simulator.settings import PREFIX, SimulatorSettings

with needs_extra("stack"):
    # What only renders is loaded with the first video. Better to miss it now.
    package_folder("numpy")
    from services.simulator.server import serve_simulator


async def serve_until_stopped(settings: SimulatorSettings) -> None:
    """Serves until SIGTERM or SIGINT; prints one line once requests are answered."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serve_simulator(settings) as running:
        sys.stdout.write(f"simulator ready at {running.url}\n")
        sys.stdout.flush()
        await stopped.wait()


def main(environment: Mapping[str, str]) -> int:
    """Runs the simulator as the environment says. Returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = load_settings(SimulatorSettings, prefix=PREFIX, environment=environment)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    run_to_end(serve_until_stopped(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
