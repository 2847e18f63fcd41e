"""The environment that processes of a stack are started in."""

from collections.abc import Mapping

SETTING_PREFIXES = ("BILLING_", "WEBHOOKS_", "JOBS_", "EDGE_", "SIMULATOR_", "MCP_")


def child_environment(environment: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment of a process: ours without settings for services, plus its own."""
    inherited = {name: value for name, value in environment.items() if not name.startswith(SETTING_PREFIXES)}
    return {**inherited, **own}
