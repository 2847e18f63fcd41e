"""Videos that were requested before: listed, shown, awaited, cancelled and saved."""

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from reelgate_client.cli.exits import FAILED, CommandError, guarded
from reelgate_client.cli.output import AsJson, for_programs, print_json, print_pairs, print_table
from reelgate_client.cli.profiles import Profile, connected, contract_of
from reelgate_client.cli.progress import progress_line

app = typer.Typer(
    help="List, show, await, cancel and save videos.", no_args_is_help=True, rich_markup_mode=None
)
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Identifiers of videos.")]
Timeout = Annotated[float, typer.Option("--timeout", min=1, help="Seconds after which to stop waiting.")]
WAIT_SECONDS = 900.0
_PAIRS = ("id", "status", "model", "progress", "created_at", "started_at", "completed_at")
_CREDITS = ("credits_charged", "credits", "credits_reserved", "estimated_credits")
_ADDRESSES = ("video_url", "thumbnail_url", "last_frame_url")


@app.command("list")
@guarded
def list_jobs(
    status: Annotated[str | None, typer.Option(help="Only those in this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 20,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """List videos, newest first."""
    with connected(profile) as client:
        found = list(islice(_listed(client, status, limit), limit))
    if for_programs(as_json):
        for video in found:
            print_json(video.data)
        return
    print_table(
        ("ID", "STATUS", "MODEL", "CREDITS", "CREATED"),
        [
            (
                video.id,
                video.status,
                video.data.get("model", ""),
                charge(video),
                video.data.get("created_at", ""),
            )
            for video in found
        ],
    )


@app.command()
@guarded
def show(ids: Ids, profile: Profile = None, as_json: AsJson = False) -> None:
    """Show videos."""
    with connected(profile) as client:
        for each in ids:
            print_video(client.videos.get(each), as_json=as_json)


@app.command()
@guarded
def wait(ids: Ids, timeout: Timeout = WAIT_SECONDS, profile: Profile = None, as_json: AsJson = False) -> None:
    """Wait until videos have ended. Exits with 1 if one did not succeed, and with 5 if that takes too long."""
    until = time.monotonic() + timeout
    with connected(profile) as client:
        videos = [client.videos.get(each) for each in ids]
        for video in videos:
            with progress_line(video.id) as show_progress:
                video.wait(max(0.0, until - time.monotonic()), show_progress, raise_on_failure=False)
            print_video(video, as_json=as_json)
    if not all(video.succeeded for video in videos):
        raise typer.Exit(FAILED)


@app.command()
@guarded
def cancel(ids: Ids, profile: Profile = None, as_json: AsJson = False) -> None:
    """Cancel videos. What a provider renders already may go on."""
    with connected(profile) as client:
        for each in ids:
            print_video(client.videos.get(each).cancel(), as_json=as_json)


@app.command()
@guarded
def download(
    ids: Ids,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Where to save one, or a folder for several.")
    ] = None,
    file: Annotated[str, typer.Option(help="video, thumbnail or last_frame.")] = "video",
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Save videos. What a lost connection left is continued."""
    if len(ids) > 1 and out is not None and not out.is_dir():
        raise CommandError(f"{out} is no folder, and there are several videos to save")
    with connected(profile) as client:
        for each in ids:
            video = client.videos.get(each)
            saved = str(video.download(target_of(video, out, file=file), file=file))
            if for_programs(as_json):
                print_json({"id": video.id, "saved": saved})
            else:
                typer.echo(saved)


def target_of(video: Any, out: Path | None, *, file: str = "video") -> Path:
    """Returns where to save a file of a video: `out`, or a name of its own in that folder or here."""
    if out is not None and not out.is_dir():
        return out
    suffix = ".mp4" if file == "video" else f"-{file}.jpg"
    return (out or Path()) / f"{video.id}{suffix}"


def print_video(video: Any, *, as_json: bool) -> None:
    """Prints a video as the contract shows it, or for people."""
    if for_programs(as_json):
        print_json(video.data)
        return
    data = video.data
    shown = {name: data[name] for name in _PAIRS if name in data}
    shown["credits"] = charge(video)
    shown |= {name: url for name in _ADDRESSES if (url := data.get("output", data).get(name))}
    if error := data.get("error"):
        shown["error"] = f"{error['message']} ({error['code']})"
    print_pairs(shown)


def charge(video: Any) -> Any:
    """Returns the credits of a video as far as they are known."""
    return next((video.data[name] for name in _CREDITS if name in video.data), None)


def _listed(client: Any, status: str | None, limit: int) -> Iterator[Any]:
    if contract_of(client) == "seedancee2":
        return iter(client.videos.list(status=status, limit=min(limit, 100)))
    return (video for video in client.videos.list() if status is None or video.status == status)
