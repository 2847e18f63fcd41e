from typing import Annotated, Final

from pydantic import Field

from services.common.settings import Address, Settings, Target

PREFIX: Final = "MCP_"
STOP_SECONDS_MAX: Final = 55
"""How long a process that stops lets tools finish: longer than any tool takes."""


class McpSettings(Settings):
    """How the process for MCP runs. It has no secret and no database: callers bring their keys."""

    listen_address: Address = "0.0.0.0:8070"
    """Where the edge reaches it, over plaintext HTTP."""
    jobs_target: Target = "jobs:7001"
    """Public port of jobs."""
    billing_target: Target = "billing:7001"
    """Public port of billing."""
    notice_seconds: Annotated[float, Field(ge=0, le=60)] = 0.0
    """How long to keep serving after reporting to be not ready, so that the edge notices."""
