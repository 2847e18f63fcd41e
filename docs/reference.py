"""Writes the reference pages that follow from code: docs/settings.md, docs/errors.md and docs/metrics.md."""

import sys
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from docs.error_codes import as_markdown, error_codes
from docs.metrics import metrics_page
from services.billing.settings import BillingSettings
from services.common.errors import STATUS_BY_REASON
from services.common.settings import Settings
from services.edge.settings import EdgeSettings
from services.jobs.settings import JobsSettings
from services.mcp.settings import McpSettings
from services.simulator.settings import SimulatorSettings
from services.webhooks.settings import WebhooksSettings

DOCS = Path(__file__).parent
KINDS: dict[str, type[Settings]] = {
    "JOBS_": JobsSettings,
    "BILLING_": BillingSettings,
    "WEBHOOKS_": WebhooksSettings,
    "EDGE_": EdgeSettings,
    "SIMULATOR_": SimulatorSettings,
    "MCP_": McpSettings,
}
SETTINGS_HEAD = """# Settings

Every process reads its settings from the environment, once, at its start. It reports all problems together, unknown
names with its prefix among them. Instead of a setting `NAME` you can set `NAME_FILE` to a file that contains
the value: use it for secrets.
"""
ERRORS_HEAD = """# Errors

Every refusal has a reason for programs. Over gRPC it is a `google.rpc.ErrorInfo` in the domain `reelgate`, in the
status details; over REST you see the HTTP status and the envelope
`{"error": {"code": …, "message": …, "type": …}}`. `protos/reelgate/errors/v1/reason.proto` explains each reason. The edge
adds `not_found` (404: no such endpoint or method), `request_too_large` (413) and `invalid_request` for requests
that it cannot read.

We may add reasons. If your program does not know one, act on the gRPC status. Our own services do the same during
an upgrade, and pass on the reason, the sentence and the details.

| reason | gRPC status | HTTP | code | type |
|---|---|---|---|---|
"""


def settings_page() -> str:
    """Returns the page of all settings, from the attributes and their docstrings."""
    parts = [SETTINGS_HEAD]
    for prefix, kind in KINDS.items():
        rows = [
            f"| `{prefix}{name.upper()}` | {_default(field.get_default(call_default_factory=True))} | {' '.join((field.description or '').split())} |"
            for name, field in kind.model_fields.items()
        ]
        parts.append(
            "\n".join([f"\n## {prefix}…\n", "| setting | default | meaning |", "|---|---|---|", *rows, ""])
        )
    return "".join(parts)


def errors_page() -> str:
    """Returns the page of all reasons and how they show, and of what customers do about their codes."""
    rows = (
        f"| `{reason}` | {status.grpc} | {status.http} | `{status.code}` | `{status.type}` |\n"
        for reason, status in STATUS_BY_REASON.items()
    )
    return f"{ERRORS_HEAD}{''.join(rows)}\n{as_markdown(error_codes())}"


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, Path):
        return "shipped with the package"
    if value is None or value in ("", (), {}, frozenset()):
        return "none"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def write(folder: Path) -> None:
    """Writes the pages into `folder`."""
    (folder / "settings.md").write_text(settings_page(), encoding="utf-8")
    (folder / "errors.md").write_text(errors_page(), encoding="utf-8")
    (folder / "metrics.md").write_text(metrics_page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS)
