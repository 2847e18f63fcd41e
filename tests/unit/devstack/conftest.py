from pathlib import Path

import pytest

from services.devstack.folder import StackFolder
from services.devstack.ports import Ports
from services.devstack.processes import ROLES, StackSettings


@pytest.fixture
def settings(tmp_path: Path) -> StackSettings:
    ports = Ports(
        edge=8080,
        edge_admin=1,
        postgres=2,
        simulator=3,
        billing_public=4,
        billing_internal=5,
        billing_admin=6,
        billing_health=7,
        webhooks_public=8,
        webhooks_internal=9,
        webhooks_admin=10,
        webhooks_health=11,
        jobs_public=12,
        jobs_admin=13,
        jobs_health=14,
        media=15,
        mcp=24,
        billing_metrics=16,
        edge_metrics=19,
        webhooks_metrics=17,
        jobs_metrics=18,
        worker_admin=21,
        worker_health=22,
        worker_metrics=23,
    )
    folder = StackFolder(tmp_path)
    folder.prepare(roles=ROLES)
    return StackSettings(
        folder=folder,
        ports=ports,
        simulator_api_key="a key",
        simulator_mode="instant",
        simulator_latency_seconds=1.5,
    )
