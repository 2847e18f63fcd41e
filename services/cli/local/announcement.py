"""What `reelgate up` says once everything is ready."""

import sys

from services.cli.video_request import VIDEOS_PATH
from services.common.site import shipped_site
from services.devstack.demo import CREDITS, read_demo_account
from services.devstack.folder import StackFolder
from services.devstack.state import StackState

PROMPT = "A paper boat sails down a rainy street"


def announcement(state: StackState, *, folder: StackFolder, seconds: float, stop: str) -> str:
    """Returns the addresses of the stack and commands that work as printed. `stop` says how to stop it."""
    account = read_demo_account(folder.demo_account)
    assert account is not None, "a stack that is ready has its demo account"
    phases = ", ".join(f"{name} {took:.1f}" for name, took in state.phases.items())
    videos, key = state.edge + VIDEOS_PATH, account.keys["live"]
    pages = f"Guides, and the API to try: {state.edge}/docs\n" if shipped_site() else ""
    return f"""\
Reelgate runs at {state.edge} (ready in {seconds:.1f} s: {phases})
{pages}
Demo account {account.account_id}, {CREDITS:,} credits in each environment
  live key  {account.keys["live"]}
  test key  {account.keys["test"]}

For the guides:
export REELGATE_BASE_URL={state.edge}
export REELGATE_API_KEY={account.keys["test"]}

Create a video:
curl -s {videos} \\
  -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\
  -d '{{"model": "mini", "input": {{"prompt": "{PROMPT}", "duration": 5}}}}'

See how it fares (the newest one; by its id: {videos}/ID):
curl -s "{videos}?limit=1" \\
  -H "Authorization: Bearer {key}"

Or all in one: {own_command()} generate "{PROMPT}" --data {folder.root}

Media  {folder.media}
Logs   {folder.logs}
Stop   {stop}
"""


def own_command() -> str:
    """Returns how this program was called: what is printed works where `reelgate` is not on the PATH."""
    return "reelgate" if sys.argv[0].endswith(".py") else sys.argv[0]
