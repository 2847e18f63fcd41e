"""A process that serves loads nothing that only another role, or a command, has a use for."""

import json
import subprocess
import sys
from importlib import import_module

import pytest

from services.devstack.nursery_process import SHARED

COMMANDS = {"alembic", "mako", "rich", "typer", "services.cli", "services.common.diagnosis.command"}
"""What brings a database up, looks for mistakes, or talks to people."""
DECODERS = {"av", "numpy", "PIL"}
STORES = {"obstore", "services.media"}
HTTP_CLIENTS = {"aiohttp", "aiodns", "services.common.egress.session"}
TRACES = {"opentelemetry.sdk", "opentelemetry.exporter"}
NOBODY = COMMANDS | DECODERS | TRACES
USELESS = {
    ("billing", "api"): NOBODY | STORES | HTTP_CLIENTS,
    ("billing", "all"): NOBODY | STORES | HTTP_CLIENTS,
    ("jobs", "api"): NOBODY,
    ("jobs", "worker"): NOBODY,
    ("jobs", "all"): NOBODY,
    ("webhooks", "api"): NOBODY | STORES | {"aiohttp"},
    ("webhooks", "dispatcher"): NOBODY | STORES | {"aiohttp"},
    ("webhooks", "all"): NOBODY | STORES | {"aiohttp"},
}
"""By role, what it must not load. Spans are made, and files decoded, only where that is asked for, and elsewhere."""
LOADED_WHEN_OPENED = {
    ("jobs", "worker"): ["services.jobs.wiring.worker"],
    ("jobs", "all"): ["services.jobs.wiring.worker"],
}
LOAD = "import json, sys; [__import__(name) for name in sys.argv[1:]]; print(json.dumps(list(sys.modules)))"


def loaded(*modules: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", LOAD, *modules], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(("service", "process"), USELESS, ids=map(" ".join, USELESS))
def test_a_process_loads_only_what_its_role_uses(service: str, process: str) -> None:
    modules = [f"services.{service}.__main__", *LOADED_WHEN_OPENED.get((service, process), [])]

    assert loaded(*modules) & USELESS[service, process] == set()


def test_the_processes_of_a_stack_share_nothing_that_none_of_them_uses() -> None:
    assert loaded(*SHARED) & NOBODY == set()


def test_a_simulator_that_has_rendered_nothing_has_loaded_no_decoder() -> None:
    assert loaded("services.simulator.__main__") & NOBODY == set()


def test_every_role_is_looked_at() -> None:
    roles = {
        (service, process)
        for service in ("billing", "jobs", "webhooks")
        for process in import_module(f"services.{service}.__main__").PROCESSES
    }
    assert roles == USELESS.keys()
