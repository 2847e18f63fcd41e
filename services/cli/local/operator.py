"""What the operator's tool does for a stack while it runs."""

import logging
from dataclasses import asdict
from functools import partial
from pathlib import Path

from reelgate.admin.v1.audit_pb2 import AuditNote

from services.cli.admin.accounts import create_account
from services.cli.admin.jobs import stalled_jobs
from services.cli.local.lookup import target_of
from services.cli.stalled import watch_stalled
from services.common.money import MICROS_PER_CREDIT
from services.devstack import demo
from services.devstack.state import StackState

log = logging.getLogger("reelgate.stack")


async def open_demo_account(state: StackState, *, root: Path) -> demo.DemoAccount:
    """Opens the demo account of a stack whose services answer. Raises ServiceError."""
    account = await create_account(
        demo.NAME,
        contract=demo.CONTRACT,
        credits_micros=demo.CREDITS * MICROS_PER_CREDIT,
        note=AuditNote(actor="reelgate up", reason="demo account"),
        billing=target_of(state, "billing", root=root),
        webhooks=target_of(state, "webhooks", root=root),
    )
    return demo.DemoAccount(**asdict(account))


async def log_stalled_jobs(state: StackState, *, root: Path) -> None:
    """Logs when jobs stall and when they proceed again, until cancelled."""
    look = partial(stalled_jobs, jobs=target_of(state, "jobs", root=root))
    await watch_stalled(look, say=log.warning)
