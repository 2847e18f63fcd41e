"""The guides: which there are, in which order, and where their links lead."""

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from docs.site.markdown import SiteError, summary_of, title_of

DOCS: Final = Path(__file__).parents[1]
FOLDER: Final = DOCS / "guides"
INDEX: Final = FOLDER / "index.yaml"
ADDRESS: Final = "/docs/guides"
ELSEWHERE: Final = {"errors.md": "/errors"}
"""Pages of docs/ that are on the site in another form."""
LINK: Final = re.compile(r"\]\((?!https?://)([^)\s]+)\)")


@dataclass(frozen=True, kw_only=True)
class Guide:
    """One guide."""

    name: str
    menu_title: str
    source: Path
    text: str

    @property
    def title(self) -> str:
        """Its own first heading."""
        return title_of(self.text)

    @property
    def summary(self) -> str:
        """Its first paragraph."""
        return summary_of(self.text)

    @property
    def address(self) -> str:
        """Where it is on the site."""
        return f"{ADDRESS}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Section:
    """Guides under one heading of the menu."""

    title: str
    guides: tuple[Guide, ...]


def read_sections(folder: Path = FOLDER) -> list[Section]:
    """Returns what index.yaml lists. Raises SiteError when it and the files of the folder differ."""
    index = yaml.safe_load((folder / INDEX.name).read_text(encoding="utf-8"))
    sections = [Section(title=each["title"], guides=tuple(_guides(folder, each["guides"]))) for each in index]
    listed = {guide.source for section in sections for guide in section.guides}
    if stray := sorted(path.name for path in folder.glob("*.md") if path.resolve() not in listed):
        raise SiteError(f"{INDEX.name} does not list {', '.join(stray)}")
    return sections


def _guides(folder: Path, entries: Iterable[Mapping[str, str]]) -> Iterator[Guide]:
    for entry in entries:
        source = (folder / entry.get("file", f"{entry['name']}.md")).resolve()
        if not source.is_file():
            raise SiteError(f"{INDEX.name} lists {entry['name']}, but there is no {source.name}")
        text = source.read_text(encoding="utf-8")
        yield Guide(name=entry["name"], menu_title=entry["title"], source=source, text=text)


def resolver(sections: list[Section], source: Path) -> Callable[[str], str | None]:
    """Returns where the links of a page lead on the site."""
    addresses = {guide.source: guide.address for section in sections for guide in section.guides}
    addresses |= {(DOCS / name).resolve(): address for name, address in ELSEWHERE.items()}

    def resolve(target: str) -> str | None:
        if re.match(r"(https?:|mailto:|#|/)", target):
            return target
        path, hash_sign, anchor = target.partition("#")
        address = addresses.get(Path(posixpath.normpath(source.parent / path)).resolve())
        return None if address is None else f"{address}{hash_sign}{anchor}"

    return resolve


def twin_of(guide: Guide, sections: list[Section]) -> str:
    """Returns the Markdown of a guide, whose links lead to other pages in Markdown."""
    resolve = resolver(sections, guide.source)

    def pointed(found: re.Match[str]) -> str:
        target = resolve(found[1])
        if target is None or target.startswith("#"):
            return found[0]
        path, hash_sign, anchor = target.partition("#")
        return f"]({path}.md{hash_sign}{anchor})" if path.startswith("/") else f"]({target})"

    return LINK.sub(pointed, guide.text)
