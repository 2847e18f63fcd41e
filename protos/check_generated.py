"""Fails if what is committed as generated differs from what would be generated now."""

import contextlib
import filecmp
import io
import runpy
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from clients.python.generate import TYPES
from clients.python.generate import write as write_types
from deploy.k8s.render import CATALOGUE, OVERLAYS, catalogue
from deploy.k8s.render import write as write_objects
from deploy.observability.render import rendered as rendered_rules
from docs.reference import write as write_pages
from protos.generate import ROOT, generate

ENVOY = Path("deploy/envoy/envoy.yaml")
PAGES = (Path("docs/settings.md"), Path("docs/errors.md"), Path("docs/metrics.md"))
RENDERED = Path("deploy/k8s/rendered")


def differences(folder: Path) -> Iterator[str]:
    """Yields the path of every generated file that is missing, stray or different."""
    generate(folder / "gen")
    (folder / ENVOY).parent.mkdir(parents=True)
    (folder / ENVOY).write_text(_rendered_edge(), encoding="utf-8")
    yield from _differing(folder / "gen", ROOT / "gen")
    write_types(folder / "types")
    yield from _differing(folder / "types", TYPES)
    (folder / "docs").mkdir()
    write_pages(folder / "docs")
    (folder / RENDERED).mkdir(parents=True)
    write_objects(folder / RENDERED)
    for name in (ENVOY, *PAGES, *(RENDERED / f"{overlay}.yaml" for overlay in OVERLAYS)):
        if not filecmp.cmp(folder / name, ROOT / name, shallow=False):
            yield str(name)
    texts = {**rendered_rules(), CATALOGUE.relative_to(ROOT): catalogue()}
    for name, text in texts.items():
        if not (ROOT / name).is_file() or (ROOT / name).read_text(encoding="utf-8") != text:
            yield str(name)


def _rendered_edge() -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        sys.argv = ["services.edge", "render"]
        runpy.run_module("services.edge", run_name="__main__")
    return printed.getvalue()


def _differing(fresh: Path, committed: Path) -> Iterator[str]:
    names = {
        path.relative_to(root)
        for root in (fresh, committed)
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    for name in sorted(names):
        both = (fresh / name).is_file() and (committed / name).is_file()
        if not both or not filecmp.cmp(fresh / name, committed / name, shallow=False):
            yield str((committed / name).relative_to(ROOT))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        found = list(differences(Path(temporary)))
    if found:
        sys.exit("\n".join(["Generated files differ; run `make gen` and commit:", *found]))
