"""Webhooks on this machine: fetched and posted on, and examined."""

import json
import re
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reelgate_client.cli.exits import FAILED, CommandError, CommandInterrupted, guarded
from reelgate_client.cli.output import AsJson, for_programs, print_json, print_pairs, say
from reelgate_client.cli.profiles import Profile, connected

if TYPE_CHECKING:
    from reelgate_client.cli.listening import Webhook

app = typer.Typer(
    help="Get webhooks on this machine, and examine them.", no_args_is_help=True, rich_markup_mode=None
)
_DURATION = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@app.command()
@guarded
def listen(
    forward_to: Annotated[
        str | None, typer.Option("--forward-to", metavar="URL", help="Where to post what comes.")
    ] = None,
    events: Annotated[
        list[str] | None, typer.Option("--events", help="Only these, such as 'job.*'; repeatable.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help="Begin again with what came since then: 10m, 2h, or ISO 8601."),
    ] = None,
    most: Annotated[int | None, typer.Option("--limit", min=1, help="Stop after so many.")] = None,
    print_secret: Annotated[
        bool, typer.Option("--print-secret", help="Print the signing secret and stop.")
    ] = False,
    output: Annotated[str, typer.Option("--format", help="text or json; json where no terminal is.")] = "",
    profile: Profile = None,
) -> None:
    """Get the webhooks of the account here. Goes on where it stopped, also after a closed lid."""
    from httpx2 import Client

    from reelgate_client.cli.listening import Listening, alone, forwarder

    if output not in {"", "text", "json"}:
        raise CommandError("--format is text or json")
    begin = None if since is None else moment(since)
    with connected(profile) as client, Client(follow_redirects=False) as http:
        listening = Listening(client, events=events or (), say=say)
        if print_secret:
            typer.echo(listening.place.secret)
            return
        say(
            f"Listening ({client.environment}) for webhooks{f', posting to {forward_to}' if forward_to else ''}."
        )
        say(f"Signing secret: {listening.place.secret}")
        with alone(listening.place):
            if begin is not None:
                listening.go_back(begin)
            try:
                listening.run(
                    None if forward_to is None else forwarder(forward_to, http),
                    show=_show_json
                    if output == "json" or (not output and for_programs(False))
                    else _show_line,
                    most=most,
                )
            except KeyboardInterrupt:
                raise CommandInterrupted(
                    f"Up to {listening.place.after} is done. The same command goes on with the next one."
                ) from None


@app.command()
@guarded
def verify(
    file: Annotated[
        Path,
        typer.Argument(
            dir_okay=False, exists=True, help="A request as it came, or a line of `listen --format json`."
        ),
    ],
    secret: Annotated[
        list[str] | None,
        typer.Option("--secret", envvar="REELGATE_WEBHOOK_SECRET", help="Signing secret; repeatable."),
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Oldest signature that counts, in seconds; 0: any.")] = 300,
    as_json: AsJson = False,
) -> None:
    """Say whether a captured webhook is genuine, and if not, what is wrong with it."""
    from reelgate_client.cli.listening import secrets_kept
    from reelgate_client.cli.verdicts import judge

    secrets = list(secret or ()) or secrets_kept()
    if not secrets:
        raise CommandError(
            "There is no secret to check with", advice="give --secret, or set REELGATE_WEBHOOK_SECRET"
        )
    headers, body = captured(file.read_bytes())
    verdict = judge(body, headers, secrets, now=time.time(), tolerance=tolerance or float("inf"))
    if for_programs(as_json):
        print_json(verdict)
    else:
        print_pairs(verdict)
    if not verdict["genuine"]:
        raise typer.Exit(FAILED)


def captured(content: bytes) -> tuple[dict[str, str], bytes]:
    """Returns headers and body of a captured request: JSON with both, or the request as it was sent. Raises CommandError."""
    try:
        found = json.loads(content)
        return {str(name): str(value) for name, value in found["headers"].items()}, found["body"].encode()
    except (ValueError, LookupError, TypeError, AttributeError):
        pass
    head, separator, body = (
        content.partition(b"\r\n\r\n") if b"\r\n\r\n" in content else content.partition(b"\n\n")
    )
    lines = [line.partition(":") for line in head.decode("latin-1").splitlines()]
    headers = {
        name.strip(): value.strip() for name, colon, value in lines if colon and " " not in name.strip()
    }
    if not separator or not headers:
        raise CommandError(
            "This is no captured webhook",
            advice='put headers, an empty line and the body into the file, or {"headers": {…}, "body": "…"}',
        )
    return headers, body


def moment(text: str) -> datetime:
    """Returns when something was: so long ago, or at a moment. Raises CommandError."""
    if found := _DURATION.fullmatch(text):
        return datetime.fromtimestamp(time.time(), timezone.utc) - timedelta(
            **{_UNITS[found[2]]: int(found[1])}
        )
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise CommandError(f"{text!r} is no time: write 10m, 2h, 1d, or 2026-11-28T21:00:00Z") from None
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)


def _show_json(webhook: "Webhook", status: int | None) -> None:
    from reelgate_client.cli.listening import as_json

    print_json(as_json(webhook, status))


def _show_line(webhook: "Webhook", status: int | None) -> None:
    from reelgate_client.cli.listening import job_id

    came = webhook.created_at[11:19]
    answer = "" if status is None else "no answer within a minute" if status < 0 else str(status)
    typer.echo(f"{came}  {webhook.sequence:>5}  {webhook.event_type}  {job_id(webhook)}  {answer}".rstrip())
