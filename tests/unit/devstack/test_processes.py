import pytest

from services.billing.settings import BillingSettings
from services.common.settings import Settings, load_settings
from services.devstack.environment import child_environment
from services.devstack.processes import StackSettings, process_specs
from services.edge.settings import EdgeSettings
from services.jobs.settings import JobsSettings
from services.mcp.settings import McpSettings
from services.simulator.settings import SimulatorSettings
from services.webhooks.settings import WebhooksSettings


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("billing", BillingSettings),
        ("webhooks", WebhooksSettings),
        ("jobs-api", JobsSettings),
        ("jobs-worker", JobsSettings),
        ("edge", EdgeSettings),
        ("simulator", SimulatorSettings),
        ("mcp", McpSettings),
    ],
)
def test_every_process_understands_its_settings(
    settings: StackSettings, name: str, kind: type[Settings]
) -> None:
    environment = process_specs(settings)[name].environment

    prefix = f"{name.partition('-')[0].upper()}_"
    loaded = load_settings(kind, prefix=prefix, environment=environment)

    given = {variable.removeprefix(prefix).removesuffix("_FILE").lower() for variable in environment}
    assert loaded.model_fields_set == given


def test_the_processes_are_told_where_the_others_listen(settings: StackSettings) -> None:
    specs = process_specs(settings)

    jobs, edge = specs["jobs-api"].environment, specs["edge"].environment
    assert jobs["JOBS_BILLING_TARGET"] == specs["billing"].environment["BILLING_INTERNAL_ADDRESS"]
    assert jobs["JOBS_WEBHOOKS_TARGET"] == specs["webhooks"].environment["WEBHOOKS_INTERNAL_ADDRESS"]
    assert edge["EDGE_JOBS_TARGETS"] == jobs["JOBS_PUBLIC_ADDRESS"]
    assert edge["EDGE_BILLING_TARGETS"] == specs["billing"].environment["BILLING_PUBLIC_ADDRESS"]
    webhooks = specs["webhooks"].environment
    assert edge["EDGE_WEBHOOKS_TARGETS"] == webhooks["WEBHOOKS_PUBLIC_ADDRESS"]
    assert webhooks["WEBHOOKS_BILLING_TARGET"] == jobs["JOBS_BILLING_TARGET"]
    mcp = specs["mcp"].environment
    assert mcp["MCP_JOBS_TARGET"] == edge["EDGE_JOBS_TARGETS"]
    assert mcp["MCP_BILLING_TARGET"] == edge["EDGE_BILLING_TARGETS"]
    assert edge["EDGE_MCP_TARGETS"] == mcp["MCP_LISTEN_ADDRESS"]
    simulator = specs["simulator"].environment
    assert jobs["JOBS_MEDIA_STORE_URL"] == simulator["SIMULATOR_MEDIA_FOLDER"]
    assert edge["EDGE_MEDIA_TARGETS"] == f"127.0.0.1:{simulator['SIMULATOR_MEDIA_PORT']}"
    assert jobs["JOBS_MEDIA_BASE_URL"] == "http://127.0.0.1:8080" + edge["EDGE_MEDIA_PATH"]


def test_only_the_processes_that_call_customers_may_call_this_machine(settings: StackSettings) -> None:
    allowed = {
        name
        for name, spec in process_specs(settings).items()
        if any(variable.endswith("PRIVATE_TARGETS_ALLOWED") for variable in spec.environment)
    }

    assert allowed == {"jobs-api", "jobs-worker", "simulator", "webhooks"}


def test_a_process_inherits_the_environment_but_no_settings_meant_for_others(settings: StackSettings) -> None:
    outside = {"HOME": "/home/someone", "JOBS_REFLECTION": "false", "BILLING_TYPO": "1"}

    seen = child_environment(outside, process_specs(settings)["jobs-api"].environment)

    assert seen["HOME"] == "/home/someone"
    assert seen["JOBS_REFLECTION"] == "true"
    assert "BILLING_TYPO" not in seen
