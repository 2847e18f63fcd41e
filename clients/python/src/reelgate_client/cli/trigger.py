"""Real events on demand: a test job whose prompt chooses how it ends."""

from typing import Annotated, Any

import typer

from reelgate_client.cli.exits import CommandError, guarded
from reelgate_client.cli.jobs import WAIT_SECONDS, Timeout, print_video
from reelgate_client.cli.output import AsJson, program, say
from reelgate_client.cli.profiles import Profile, connected, contract_of
from reelgate_client.cli.progress import progress_line

PROMPT = "A paper boat sails down a rainy street"
FAILS = f"{PROMPT} [simulate: fail]"
QUEUES = f"{PROMPT} [simulate: queue 600]"
PROMPTS = {
    "video.generation.completed": PROMPT,
    "video.generation.failed": FAILS,
    "job.queued": PROMPT,
    "job.running": PROMPT,
    "job.succeeded": PROMPT,
    "job.failed": FAILS,
    "job.canceled": QUEUES,
}
CANCELED = "job.canceled"


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    app.command()(trigger)


@guarded
def trigger(
    event: Annotated[str, typer.Argument(help="Such as video.generation.failed, or job.succeeded.")],
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Whether to wait until it has happened.")
    ] = True,
    timeout: Timeout = WAIT_SECONDS,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Make a real test video that causes an event. Costs nothing, and needs a test key."""
    with connected(profile) as client:
        possible = [name for name in PROMPTS if name.startswith("job.") == (contract_of(client) == "nextapi")]
        if event not in possible:
            raise CommandError(f"There is no event {event!r} to cause; there are: {', '.join(possible)}")
        if client.environment != "test":
            raise CommandError(
                "This needs a test key: with a live one it would make a video and be paid for",
                advice=f"{program()} login --profile test, then --profile test",
            )
        video = client.videos.create(**_body(client, PROMPTS[event]))
        say(f"{video.id} accepted")
        if event == CANCELED:
            video.cancel()
        if wait:
            with progress_line(video.id) as show:
                video.wait(timeout, show, raise_on_failure=False)
        print_video(video, as_json=as_json)


def _body(client: Any, prompt: str) -> dict[str, Any]:
    if contract_of(client) == "nextapi":
        return {"model": "seedance-2.0-mini", "prompt": prompt, "duration_seconds": 4, "resolution": "480p"}
    return {"model": "mini", "input": {"prompt": prompt, "duration": 4, "resolution": "480p"}}
