import asyncio
import logging
import signal
import sys

from pydantic import ValidationError

from services.simulator.server import serve_simulator
from services.simulator.settings import PREFIX, SimulatorSettings


async def serve_until_stopped(settings: SimulatorSettings) -> None:
    """Serves until SIGTERM or SIGINT; prints one line once requests are answered."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serve_simulator(settings) as running:
        sys.stdout.write(f"simulator ready at {running.url}\n")
        sys.stdout.flush()
        await stopped.wait()


def main() -> int:
    """Runs the simulator as the environment says. Returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = SimulatorSettings.model_validate({})
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0]).removeprefix(PREFIX).upper()
            sys.stderr.write(f"{PREFIX}{name}: {problem['msg']}\n")
        return 2
    asyncio.run(serve_until_stopped(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
