"""The code blocks of a page, and what each needs to run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt

NOT_RUN: Final = re.compile(r"<!-- not run: (\S.{9,}) -->")
OUTPUT: Final = "<!-- output -->"
SHOWN: Final = frozenset({"text", "diff", "http", "yaml", "toml"})
"""Languages of blocks that are shown and are no program."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block: its language, its text, and what the comment before it says."""

    line: int
    """Of the page, from 1."""
    language: str
    text: str
    why_not_run: str | None
    is_output: bool
    """Whether it shows what the block before it prints, `…` standing for anything."""

    @property
    def runs(self) -> bool:
        """Whether it is a program that must work."""
        return self.why_not_run is None and self.language not in SHOWN


def blocks_of(page: Path) -> Iterator[Block]:
    """Yields the fenced blocks of a page, in order. Raises AssertionError for one without a language."""
    comment = ""
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "html_block":
            comment = token.content.strip()
        elif token.type == "fence":
            assert token.map is not None
            assert token.info, f"{page.name}:{token.map[0] + 1}: a fence names its language"
            reason = NOT_RUN.fullmatch(comment)
            yield Block(
                line=token.map[0] + 1,
                language=token.info.split()[0],
                text=token.content,
                why_not_run=reason[1] if reason else None,
                is_output=comment == OUTPUT,
            )
        if token.type != "html_block":
            comment = ""


def agrees(shown: str, printed: str) -> bool:
    """Tells whether `printed` is what is shown, where `…` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in shown.strip().split("…"))
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None
