"""Runs blocks of Python in one namespace: each line of input is one as JSON, each line of output what it printed."""

import contextlib
import io
import json
import sys
import traceback
from typing import Any


def main() -> None:
    """Runs every block until the input ends. A block that raises is answered with its traceback."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    answers = sys.stdout
    for line in sys.stdin:
        printed, failed = io.StringIO(), False
        with contextlib.redirect_stdout(printed):
            try:
                exec(compile(json.loads(line), "block", "exec"), namespace)  # noqa: S102  our own pages
            except BaseException:  # noqa: BLE001  whatever it raises is the answer
                failed = True
                traceback.print_exc(file=printed)
        print(json.dumps({"failed": failed, "printed": printed.getvalue()}), file=answers, flush=True)


if __name__ == "__main__":
    main()
