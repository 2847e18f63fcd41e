"""How a process with native threads ends."""

import atexit
import os
import sys
from typing import NoReturn


def leave(code: int) -> NoReturn:
    """Ends the process with an exit code. What is registered to run at the end runs, and what was written arrives.

    Python's own dismantling is left out: a thread of a native library that comes back to Python meanwhile, to tell a loop
    of its result, is unwound through code that must not be, and the process aborts.
    """
    atexit._run_exitfuncs()  # noqa: SLF001  nothing public runs them
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
