"""One supervisor per data folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.devstack.errors import StackError

FILE_NAME = "stack.lock"


@contextmanager
def stack_lock(root: Path) -> Iterator[None]:
    """Holds the folder until the block ends. Raises StackError if another process holds it.

    The kernel releases the lock of a killed process; the pid in the file is for people.
    """
    with (root / FILE_NAME).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise StackError(
                f"A stack already runs on {root} (process {file.read().strip()}). "
                "See it with `reelgate status`, stop it with `reelgate down`."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
