"""`python -m docs.site FOLDER` builds the site there. Exits with 3 when it had to leave out the reference."""

import sys
from pathlib import Path

from docs.site.build import build
from docs.site.markdown import SiteError

if __name__ == "__main__":
    try:
        complete = build(Path(sys.argv[1]))
    except SiteError as error:
        sys.exit(str(error))
    if not complete:
        sys.stderr.write(
            "Warning: the npm registry cannot be reached, so /docs is built without the API reference.\n"
        )
        sys.exit(3)
