"""MCP has a route and a cluster where it is served, and its requests are left as they are."""

from typing import Any

from services.edge.mcp import ANSWER_SECONDS_MAX, ENVELOPE, MCP, PATH
from services.edge.render import render
from services.edge.settings import EdgeSettings
from services.edge.transcoding import TRANSCODER
from services.mcp.tools import TOOL_SECONDS


def rendered(**settings: Any) -> tuple[list[str], list[dict[str, Any]]]:
    """Returns the names of the clusters, and the routes in their order."""
    resources = render(EdgeSettings(**settings))["static_resources"]
    manager = resources["listeners"][0]["filter_chains"][0]["filters"][-1]["typed_config"]
    [host] = manager["route_config"]["virtual_hosts"]
    return [each["name"] for each in resources["clusters"]], host["routes"]


def test_without_a_process_there_is_nothing() -> None:
    clusters, routes = rendered()

    assert MCP not in clusters
    assert PATH not in [each["name"] for each in routes]


def test_requests_pass_unread_and_answers_in_mcp_s_own_words() -> None:
    clusters, routes = rendered(mcp_targets=("mcp:8070",))

    [route] = [each for each in routes if each["name"] == PATH]
    assert MCP in clusters
    assert route["match"] == {"path": PATH}
    off = {name for name, each in route["typed_per_filter_config"].items() if each["disabled"]}
    assert off == {TRANSCODER, ENVELOPE}


def test_the_edge_waits_longer_than_any_tool_and_not_longer_than_clients() -> None:
    assert TOOL_SECONDS < 50 < ANSWER_SECONDS_MAX < 60
