"""Who is logged in, what there is to spend, what it costs, and what was spent."""

import sys
from typing import Annotated, Any

import typer

from reelgate_client.cli import profiles
from reelgate_client.cli.exits import CommandError, guarded
from reelgate_client.cli.output import (
    AsJson,
    bar,
    for_programs,
    print_json,
    print_pairs,
    print_table,
    program,
    say,
)
from reelgate_client.cli.profiles import DEFAULT, Profile, connected, contract_of
from reelgate_client.cli.requests import body_of, resolved

NO_USAGE = "The NextAPI contract has no {what}"


def add_to(app: typer.Typer) -> None:
    """Adds the commands of this module."""
    for command in (login, logout, whoami, balance, usage, models, estimate):
        app.command()(command)


@guarded
def login(
    profile: Annotated[str, typer.Option("--profile", help="Name for this login.")] = DEFAULT,
    base_url: Annotated[
        str | None, typer.Option("--base-url", envvar="REELGATE_BASE_URL", help="Address of the API.")
    ] = None,
) -> None:
    """Keep a key for the other commands. It is asked for, or read from the standard input."""
    from reelgate_client import connect

    is_person = sys.stdin.isatty()
    url = base_url or (typer.prompt("Address of the API", err=True) if is_person else "")
    if not url:
        raise CommandError("It is not known where the API is", advice="give --base-url")
    key = typer.prompt("API key", hide_input=True, err=True) if is_person else sys.stdin.readline()
    with connect(key.strip(), base_url=url) as client:
        client.balance()
        kept = {"api_key": client.core.api_key, "base_url": client.core.base_url}
        path = profiles.write("profiles.json", {**profiles.logins(), profile: kept})
        say(f"Logged in to {client.core.base_url} ({client.environment}). The key is in {path}.")


@guarded
def logout(
    profile: Annotated[str, typer.Option("--profile", help="Name of the login.")] = DEFAULT,
) -> None:
    """Forget a key. It goes on working elsewhere."""
    stored = profiles.logins()
    if stored.pop(profile, None) is None:
        raise CommandError(f"There is no profile {profile!r}")
    profiles.write("profiles.json", stored)
    say(f"Forgot the key of {profile}.")


@guarded
def whoami(profile: Profile = None, as_json: AsJson = False) -> None:
    """Show the contract, environment, balance and limits of the key in use."""
    from reelgate_client.core import masked

    used = profiles.login(profile)
    with connected(profile) as client, client.with_raw_response() as answers:
        found = client.balance()
        limits = {
            name: int(answers[-1].headers[f"x-ratelimit-{name}"])
            for name in ("limit", "remaining", "reset")
            if f"x-ratelimit-{name}" in answers[-1].headers
        }
        shown: dict[str, Any] = {
            "contract": contract_of(client),
            "environment": client.environment,
            "base_url": client.core.base_url,
            "key": masked(client.core.api_key),
            **({"profile": used.profile} if used.profile else {}),
            "balance": found,
            "calls_per_minute": limits,
        }
    if for_programs(as_json):
        print_json(shown)
        return
    if shown["environment"] == "live":
        say(" LIVE: what you run with this key is paid for ", "band")
    calls = f"{limits.get('limit', '?')} in any minute, {limits.get('remaining', '?')} left"
    print_pairs({**shown, "balance": _credits(found), "calls_per_minute": calls})


@guarded
def balance(profile: Profile = None, as_json: AsJson = False) -> None:
    """Show the credits that can be spent, and those held for videos that are not finished."""
    with connected(profile) as client:
        found = client.balance()
    if for_programs(as_json):
        print_json(found)
    else:
        print_pairs(found)


@guarded
def usage(
    start: Annotated[str | None, typer.Option(help="First moment, ISO 8601; 30 days ago by default.")] = None,
    end: Annotated[str | None, typer.Option(help="Last moment; now by default.")] = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Show what was made and spent, by day and by model."""
    with connected(profile) as client:
        if contract_of(client) == "nextapi":
            raise CommandError(NO_USAGE.format(what="usage"), advice=f"{program()} jobs list")
        found = client.usage(start=start, end=end)
    if for_programs(as_json):
        print_json(found)
        return
    for title, rows, name in (("DAY", found["timeline"], "date"), ("MODEL", found["by_model"], "model")):
        most = max((row["net_credits"] for row in rows), default=0)
        print_table(
            (title, "VIDEOS", "FAILED", "CREDITS", ""),
            [
                (
                    row[name],
                    row["total_jobs"],
                    row["failed_jobs"],
                    row["net_credits"],
                    bar(row["net_credits"], most),
                )
                for row in rows
            ],
        )
        typer.echo("")
    summary = found["summary"]
    print_pairs(
        {
            "videos": f"{summary['total_jobs']}, {summary['completed_jobs']} completed, {summary['failed_jobs']} failed",
            "credits": f"{summary['net_credits']:g} ({summary['credits_charged']:g} charged, "
            f"{summary['credits_refunded']:g} refunded)",
        }
    )


@guarded
def models(
    model: Annotated[str | None, typer.Argument(help="Show one with its prices.")] = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """List the models that the key may use, or show one."""
    with connected(profile) as client:
        if contract_of(client) == "nextapi":
            raise CommandError(NO_USAGE.format(what="list of models"), advice="see docs/api.md")
        found = client.models.list() if model is None else [client.models.get(model)]
    if for_programs(as_json):
        for each in found:
            print_json(each)
    elif model is None:
        rows = [
            (each["id"], ", ".join(each["resolutions"]), "{min} to {max} s".format(**each["duration"]))
            for each in found
        ]
        print_table(("MODEL", "RESOLUTIONS", "LENGTH"), rows)
    else:
        [each] = found
        prices = (f"{name} {price:g}" for name, price in each["credits_per_second"].items())
        print_pairs(
            {
                "model": each["id"],
                "length": "{min} to {max} seconds".format(**each["duration"]),
                "credits per second": ", ".join(prices),
                "aspect ratios": ", ".join(each["aspect_ratios"]),
                "can do": ", ".join(each["capabilities"]),
            }
        )


@guarded
def estimate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")],
    words: Annotated[list[str] | None, typer.Argument(metavar="PROMPT NAME=VALUE")] = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Show what `run` with the same words would cost. Nothing is made."""
    given = list(words or ())
    prompt = given.pop(0) if given and "=" not in given[0] else "Any"
    with connected(profile) as client:
        if contract_of(client) == "nextapi":
            raise CommandError(NO_USAGE.format(what="estimates"))
        body = body_of("seedancee2", model=model, prompt=prompt, words=given)
        found = client.videos.estimate(**resolved(body, lambda path: client.uploads.create(path).url))
    if for_programs(as_json):
        print_json(found)
        return
    covered = "covered" if found["covered"] else "not covered"
    typer.echo(f"{found['credits']:g} credits, {covered} by the {found['available']:g} that are available")


def _credits(found: dict[str, Any]) -> str:
    return f"{found['available']:g} available, {found['held']:g} held"
