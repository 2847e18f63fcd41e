"""What a person sees while a video is made."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from reelgate_client.cli.output import say


@contextmanager
def progress_line(name: str) -> Iterator[Callable[[Any], None]]:
    """Yields what shows how far a video is: as one line that moves on a terminal, else as a line for each status."""
    if not sys.stderr.isatty():
        yield _Statuses(name).show
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=100)

        def show(video: Any) -> None:
            progress.update(task, description=f"{video.id} {video.status}", completed=video.progress)

        yield show


class _Statuses:
    """A line for each change."""

    def __init__(self, name: str) -> None:
        self._last = name

    def show(self, video: Any) -> None:
        """Tells the status, if it is another one."""
        if video.status != self._last:
            self._last = video.status
            say(f"{video.id} {video.status}")
