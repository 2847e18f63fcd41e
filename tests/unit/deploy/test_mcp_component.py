"""The component that serves MCP fits into an installation as docs/operate.md puts it there."""

import pytest

from deploy.checks.__main__ import findings
from deploy.checks.objects import Objects, named, pods, production, settings_of
from services.common.settings import load_settings
from services.mcp.settings import PREFIX, McpSettings
from tests.unit.deploy.test_installation import MCP, installation

NEW = ("Deployment", "Service", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy")


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    """The installation of the page with the component."""
    return installation(tmp_path_factory.mktemp("installation"), more=MCP)


def test_the_checks_find_nothing_wrong_with_it(objects: Objects) -> None:
    assert list(findings(objects)) == []


def test_it_adds_one_deployment_and_the_way_to_it(objects: Objects) -> None:
    without = production()

    added = {kind: set(named(objects, kind)) - set(named(without, kind)) for kind in NEW}
    assert added == {
        "Deployment": {"mcp"},
        "Service": {"mcp"},
        "ServiceAccount": {"mcp"},
        "PodDisruptionBudget": {"mcp"},
        "NetworkPolicy": {"mcp", "edge-to-mcp", "mcp-to-services"},
    }
    assert settings_of(objects, "edge")["EDGE_MCP_TARGETS"] == "mcp:8070"
    assert "EDGE_MCP_TARGETS" not in settings_of(without, "edge")


def test_its_process_holds_no_secret(objects: Objects) -> None:
    pod = pods(objects)["mcp"]

    settings = load_settings(McpSettings, prefix=PREFIX, environment=settings_of(objects, "mcp"))
    assert settings.notice_seconds == 10
    assert [volume["name"] for volume in pod["volumes"]] == ["tmp"]
    assert "envFrom" not in pod["containers"][0]
    assert pod["containers"][0]["image"].startswith("registry.acme.example/reelgate-mcp:")


def test_each_mistake_in_its_policies_is_found(objects: Objects) -> None:
    for name in ("mcp", "edge-to-mcp", "mcp-to-services"):
        left = tuple(
            found
            for found in objects
            if (found["kind"], found["metadata"]["name"]) != ("NetworkPolicy", name)
        )
        assert [finding for finding in findings(left) if "mcp" in finding], name
