"""Every service runs on uvloop where it is installed, and on asyncio's loop where it is not."""

import asyncio
import subprocess
import sys
from pathlib import Path

import uvloop

from services.common.event_loop import run_to_end

SERVICES = Path(__file__).parents[3] / "services"
WITHOUT_SERVICES = {"cli", "devstack", "edge"}
"""Commands of people, and what becomes Envoy."""


async def kind_of_loop() -> type[asyncio.AbstractEventLoop]:
    return type(asyncio.get_running_loop())


def test_what_a_process_does_runs_on_uvloop() -> None:
    assert run_to_end(kind_of_loop()) is uvloop.Loop


async def test_tests_and_the_services_in_them_run_on_the_loop_of_services() -> None:
    assert await kind_of_loop() is uvloop.Loop


def test_without_uvloop_a_process_runs_on_the_loop_of_asyncio() -> None:
    program = """
import asyncio, sys
sys.modules["uvloop"] = None
from services.common.event_loop import run_to_end
async def main(): print(isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop))
run_to_end(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_no_service_starts_a_loop_of_its_own() -> None:
    starting = [
        file.relative_to(SERVICES)
        for file in SERVICES.rglob("*.py")
        if "asyncio.run(" in file.read_text(encoding="utf-8")
    ]
    assert {path.parts[0] for path in starting} <= WITHOUT_SERVICES
