"""The command that generates one video."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.local import lookup
from services.cli.options import DATA_DEFAULT, Data
from services.cli.video_request import VideoOptions, local_files, video_request

if TYPE_CHECKING:
    from services.cli.customer import Customer

IMAGE = "An http(s) address, or a file, which is uploaded first."


def add_to(app: typer.Typer) -> None:
    """Adds the command of this module."""
    app.command()(generate)


def generate(
    prompt: Annotated[str | None, typer.Argument(help="What the video shows.")] = None,
    model: Annotated[str, typer.Option(help="pro, fast or mini.")] = "mini",
    duration: Annotated[int | None, typer.Option(help="Seconds, 4 to 15.")] = None,
    resolution: Annotated[str | None, typer.Option(help="480p, 720p or 1080p.")] = None,
    aspect_ratio: Annotated[str | None, typer.Option(help="16:9, 9:16, … or adaptive.")] = None,
    image: Annotated[list[str] | None, typer.Option(help=f"Reference; repeatable. {IMAGE}")] = None,
    start_image: Annotated[str | None, typer.Option(help=f"First frame. {IMAGE}")] = None,
    end_image: Annotated[str | None, typer.Option(help=f"Last frame. {IMAGE}")] = None,
    audio: Annotated[bool, typer.Option("--audio", help="Generate sound.")] = False,
    watermark: Annotated[bool, typer.Option("--watermark", help="Mark the video as generated.")] = False,
    seed: Annotated[int | None, typer.Option(help="For a repeatable result.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to save it; by default ID.mp4.")] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="ID", help="Wait for a video that you requested before.")
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            envvar="REELGATE_TARGET", metavar="URL", help="Address of the edge; by default the local stack's."
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(envvar="REELGATE_KEY", help="API key; by default the demo account's.")
    ] = None,
    data: Data = DATA_DEFAULT,
) -> None:
    """Generate a video, wait for it and save it."""
    if (prompt is None) == (resume is None):
        raise typer.BadParameter("give either a prompt or --resume ID")
    if target is not None and key is None:
        raise typer.BadParameter("--target needs a --key")
    edge = target or lookup.edge(data)
    options = None
    if prompt is not None:
        options = VideoOptions(
            prompt=prompt,
            model=model,
            duration=duration,
            resolution=resolution,
            aspect_ratio=aspect_ratio,
            images=image or (),
            start_image=start_image,
            end_image=end_image,
            audio=audio,
            watermark=watermark,
            seed=seed,
        )
    try:
        asyncio.run(_make(options, video_id=resume, edge=edge, key=key or lookup.demo_key(data), out=out))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _make(
    options: VideoOptions | None, *, video_id: str | None, edge: str, key: str, out: Path | None
) -> None:
    from services.cli.customer import open_customer

    async with open_customer(target=edge, key=key) as customer:
        if options is not None:
            urls = {path: await customer.upload(path) for path in local_files(options)}
            created = await customer.create(video_request(options, to_url=urls.__getitem__))
            video_id = str(created["id"])
            typer.echo(f"{video_id} accepted, {created['credits_reserved']} credits reserved")
        assert video_id is not None
        try:
            await _fetch(customer, video_id, target=out or Path(f"{video_id}.mp4"))
        except asyncio.CancelledError:
            typer.echo(
                f"{video_id} goes on without you. Fetch it with: reelgate generate --resume {video_id}",
                err=True,
            )
            raise


async def _fetch(customer: "Customer", video_id: str, *, target: Path) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("pending", total=None)
        video = await customer.wait(
            video_id,
            show=lambda status: progress.update(bar, description=status),
            notice=lambda status: console.print(
                f"{video_id} has been {status} for a while. Where to look, on the machine of the stack:"
                " `reelgate status` shows jobs that do not move, `reelgate job list` where each is,"
                " `reelgate logs jobs` what their workers say.",
                highlight=False,
            ),
        )
        progress.update(bar, description="downloading")
        await customer.save(video["output"]["video_url"], target)
    typer.echo(f"{target} saved, {video['credits_charged']} credits charged")
