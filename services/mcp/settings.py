from typing import Final

from services.common.settings import Address, Settings, Target

PREFIX: Final = "MCP_"


class McpSettings(Settings):
    """How the process for MCP runs. It has no secret and no database: callers bring their keys."""

    listen_address: Address = "0.0.0.0:8070"
    """Where the edge reaches it, over plaintext HTTP."""
    jobs_target: Target = "jobs:7001"
    """Public port of jobs."""
    billing_target: Target = "billing:7001"
    """Public port of billing."""
