"""Durations of callers, servers, the edge and the end of a process, which must fit one another."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import SecretStr

from services.cli.admin.channel import ANSWER_SECONDS_MAX as ADMIN_SECONDS
from services.common.postgres.database import CHECKOUT_TIMEOUT_SECONDS
from services.common.rpc.client import CALL_TIMEOUT_SECONDS
from services.common.rpc.durations import (
    CLOSE_SECONDS_MAX,
    CONNECTION_AGE_SECONDS,
    DRAIN_SECONDS,
    LOOK_UP_SECONDS_MIN,
    MOVE_SECONDS,
    WAIT_SECONDS_MAX,
    grace_seconds,
)
from services.common.rpc.server import Port
from services.common.telemetry.span_queue import FLUSH_SECONDS_MAX
from services.edge.render import render
from services.edge.routes import STREAM_SECONDS
from services.edge.settings import EdgeSettings
from services.jobs.settings import JobsSettings
from services.jobs.watch.event_stream import PACE, EventStreams
from services.jobs.watch.job_watch import JobWatch
from services.jobs.wiring.api import public_port

SETTINGS: dict[str, Any] = {
    "database_url": "postgresql://unused",
    "key_checksum_secrets": (SecretStr("s" * 32),),
    "billing_target": "billing:7101",
    "webhooks_target": "webhooks:7101",
    "media_store_url": "unused",
    "media_base_url": "http://unused.example",
    "live_provider": "simulator",
    "simulator_base_url": "http://unused.example",
    "simulator_api_key": "unused",
}
ANYTHING: Any = SimpleNamespace(
    clock=None,
    models=None,
    jobs=None,
    work=None,
    providers=None,
    notify=None,
    files=SimpleNamespace(base_url=""),
)


def _edge_seconds() -> dict[str, float]:
    """Returns how long the edge waits for each kind of request that services answer."""
    [manager] = [
        filter_["typed_config"]
        for listener in render(EdgeSettings())["static_resources"]["listeners"]
        for filter_ in listener["filter_chains"][0]["filters"]
        if "route_config" in filter_["typed_config"]
    ]
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    return {
        f"{route['name']} {'waits' if 'query_parameters' in route['match'] else ''}": float(
            route["route"]["timeout"].removesuffix("s")
        )
        for route in routes
        if "route" in route
    }


def test_a_stopping_server_lets_every_call_finish_that_nobody_told_to_wait() -> None:
    told = {float(WAIT_SECONDS_MAX + 1), float(STREAM_SECONDS)}
    others = {name: seconds for name, seconds in _edge_seconds().items() if seconds not in told}

    assert len(others) > 20
    assert max(others.values()) <= DRAIN_SECONDS
    assert CALL_TIMEOUT_SECONDS < DRAIN_SECONDS


def test_calls_wait_for_a_name_that_moves_and_still_have_time_to_be_answered() -> None:
    assert LOOK_UP_SECONDS_MIN < MOVE_SECONDS < CALL_TIMEOUT_SECONDS / 2


def test_connections_that_reached_their_age_outlive_their_longest_call() -> None:
    streams = EventStreams(JobWatch(cast("Any", None)), clock=cast("Any", None))
    port = public_port(
        JobsSettings(**SETTINGS),
        cast("Any", None),
        keys=ANYTHING,
        limiter=ANYTHING,
        jobs=ANYTHING,
        uploads=ANYTHING,
        canceller=ANYTHING,
        delete=ANYTHING,
        streams=streams,
    )

    assert port.call_seconds_max >= PACE.stream_seconds_max > CONNECTION_AGE_SECONDS
    other = Port(address="127.0.0.1:0", services=(), middleware=())
    assert other.call_seconds_max >= max(WAIT_SECONDS_MAX, ADMIN_SECONDS)


@pytest.mark.parametrize(("notice", "work"), [(0.0, 0.0), (10.0, 5.0)])
def test_a_process_has_time_for_everything_it_does_at_its_end(notice: float, work: float) -> None:
    assert grace_seconds(notice_seconds=notice, work_seconds=work) >= (
        notice + DRAIN_SECONDS + work + CHECKOUT_TIMEOUT_SECONDS + FLUSH_SECONDS_MAX
    )
    assert CLOSE_SECONDS_MAX > CHECKOUT_TIMEOUT_SECONDS + FLUSH_SECONDS_MAX
