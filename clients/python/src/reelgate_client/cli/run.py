"""Making videos: one, or one for each line of a file."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from reelgate_client.cli.exits import CREDITS, CommandError, guarded
from reelgate_client.cli.jobs import WAIT_SECONDS, Timeout, print_video, target_of
from reelgate_client.cli.output import AsJson, painted, program, say
from reelgate_client.cli.profiles import Profile, connected, contract_of
from reelgate_client.cli.progress import progress_line
from reelgate_client.cli.requests import Body, body_of, resolved

AT_ONCE = 4
AT_ONCE_MAX = 50


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    app.command()(run)


@guarded
def run(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROMPT NAME=VALUE", help="As in: duration=6 image=@a.png seed=7"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Where to save the video; with --file a folder.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", dir_okay=False, exists=True, help="Prompts: a line each, or JSON objects in .jsonl."
        ),
    ] = None,
    at_once: Annotated[
        int,
        typer.Option("--at-once", min=1, max=AT_ONCE_MAX, help="With --file: how many are made at a time."),
    ] = AT_ONCE,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Whether to wait until it is made.")] = True,
    timeout: Timeout = WAIT_SECONDS,
    max_credits: Annotated[
        float | None, typer.Option("--max-credits", min=0, help="Make nothing that costs more, all together.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before spending with a live key.")
    ] = False,
    open_it: Annotated[bool, typer.Option("--open", help="Show the video when it is made.")] = False,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Make a video, or one for each line of a file. Says the price first."""
    given = list(words or ())
    with connected(profile) as client:
        if file is not None:
            from reelgate_client.cli.batch import Options, run_batch

            run_batch(
                client,
                file,
                Options(
                    model=model, words=given, out=out, at_once=at_once, waits=wait, timeout=timeout,
                    max_credits=max_credits, yes=yes, as_json=as_json,
                ),
            )  # fmt: skip
            return
        if not given:
            raise CommandError(
                f'"{model}" is taken for the name of a model, and no prompt follows it',
                advice=f'{program()} run MODEL "A paper boat in the rain"; `{program()} models` lists models',
            )
        body = body_of(contract_of(client), model=model, prompt=given[0], words=given[1:])
        _run_one(
            client, body, out=out, waits=wait, timeout=timeout, max_credits=max_credits, yes=yes,
            opens=open_it, as_json=as_json,
        )  # fmt: skip


def _run_one(
    client: Any,
    body: Body,
    *,
    out: Path | None,
    waits: bool,
    timeout: float,
    max_credits: float | None,
    yes: bool,
    opens: bool,
    as_json: bool,
) -> None:
    body = resolved(body, lambda path: client.uploads.create(path).url)
    agree(client, price_of(client, body), max_credits=max_credits, yes=yes)
    video = client.videos.create(**body)
    say(f"{video.id} accepted")
    if not waits:
        print_video(video, as_json=as_json)
        say(f"Wait for it: {program()} jobs wait {video.id}")
        return
    with progress_line(video.id) as show:
        video.wait(timeout, show)
    saved = video.download(target_of(video, out)) if out is not None else None
    print_video(video, as_json=as_json)
    say(f"Saved as {saved}" if saved else f"Save it: {program()} jobs download {video.id}")
    if opens:
        import webbrowser

        webbrowser.open(saved.resolve().as_uri() if saved else video.url())


def price_of(client: Any, body: Body) -> float | None:
    """Returns what a creation costs in credits. None: the contract tells that only afterwards."""
    if contract_of(client) == "nextapi":
        return None
    return float(client.videos.estimate(**body)["credits"])


def agree(client: Any, price: float | None, *, max_credits: float | None, yes: bool, count: int = 1) -> None:
    """Says the price, and asks before a live key spends it. Raises CommandError if it must not be spent."""
    if price is None and max_credits is not None:
        raise CommandError(
            "The NextAPI contract has no estimates, so --max-credits cannot be kept",
            advice="ask for a spend limit on the key instead",
        )
    if price is not None and max_credits is not None and price > max_credits:
        raise CommandError(
            f"This costs {price:g} credits, and --max-credits is {max_credits:g}: nothing was made",
            code=CREDITS,
        )
    environment = client.environment
    what = f"{count} videos" if count > 1 else "a video"
    costs = "at the price of the model" if price is None else f"for {price:g} credits"
    say(f"{what} {costs} ({environment})", "red" if environment == "live" else "")
    if environment != "live" or yes:
        return
    if not sys.stdin.isatty():
        raise CommandError("A live key spends credits, and nobody can be asked here", advice="give --yes")
    if not typer.confirm(painted("Spend them?", "band", sys.stderr), err=True):
        raise CommandError("Nothing was made", code=1)
