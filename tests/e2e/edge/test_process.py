"""Envoy itself on what is rendered, and the commands."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from services.edge.process import envoy_binary
from tests.conftest import free_port
from tests.e2e.edge.client import logged, send
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import RunningEdge, running_edge
from tests.patience import PATIENCE_SECONDS

DEPLOYED = Path(__file__).parents[3] / "deploy" / "envoy" / "envoy.yaml"


def edge_command(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "services.edge", *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def validate(config: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [envoy_binary(), "--mode", "validate", "--config-path", config],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_envoy_accepts_what_is_deployed() -> None:
    checked = validate(DEPLOYED)

    assert checked.returncode == 0, checked.stderr
    assert "deprecated" not in checked.stderr


def test_what_is_deployed_is_what_the_command_prints() -> None:
    printed = edge_command("render")

    assert printed.stdout == DEPLOYED.read_text(encoding="utf-8")


def test_envoy_accepts_a_stack_with_media(tmp_path: Path) -> None:
    config = tmp_path / "envoy.yaml"
    printed = edge_command(
        "render", EDGE_MEDIA_TARGETS="127.0.0.1:3", EDGE_JOBS_TARGETS="127.0.0.1:1,[::1]:2"
    )
    config.write_text(printed.stdout, encoding="utf-8")

    checked = validate(config)

    assert checked.returncode == 0, checked.stderr


def test_bad_settings_are_told_together() -> None:
    refused = edge_command("render", EDGE_LISTEN_ADDRESS="nowhere", EDGE_STRANGE="1")

    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        "EDGE_LISTEN_ADDRESS: Value error, expected host:port, got 'nowhere'",
        "EDGE_STRANGE: unknown setting",
    ]


def test_run_becomes_envoy(tmp_path: Path) -> None:
    config, port = tmp_path / "envoy.yaml", free_port()
    addresses = {
        "EDGE_LISTEN_ADDRESS": f"127.0.0.1:{port}",
        "EDGE_ADMIN_ADDRESS": f"127.0.0.1:{free_port()}",
        "EDGE_JOBS_TARGETS": f"127.0.0.1:{free_port()}",
        "EDGE_BILLING_TARGETS": f"127.0.0.1:{free_port()}",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "services.edge", "run", config], env={**os.environ, **addresses}
    )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while Path(psutil.Process(process.pid).exe()) != envoy_binary().resolve():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)

    assert f"port_value: {port}" in config.read_text()


@pytest.mark.asyncio(loop_scope="session")
async def test_every_request_is_logged_as_a_line_of_json(edge: RunningEdge, upstream: Upstream) -> None:
    answer = await send(
        edge, "GET", "/v1/videos/generations/vid_log?", headers=["authorization: Bearer secret"]
    )

    request_id = answer.headers["x-request-id"]
    line = await logged(edge, request_id)
    route = "GET /v1/videos/generations/{id}"
    assert (line["method"], line["route"], line["status"]) == ("GET", route, 200)
    assert "secret" not in edge.log.read_text()


@pytest.mark.asyncio(loop_scope="session")
async def test_the_access_log_can_be_switched_off(upstream: Upstream) -> None:
    async with running_edge(
        jobs_targets=upstream.target, billing_targets=upstream.target, access_log=False
    ) as edge:
        answer = await send(edge, "GET", "/v1/models")

        edge.process.terminate()
        edge.process.wait(PATIENCE_SECONDS)
        assert answer.headers["x-request-id"] not in edge.log.read_text()
