"""docs/operate.md in parts that tests can compare with the objects."""

import re
from collections.abc import Iterator

from deploy.k8s.render import FOLDER

ROOT = FOLDER.parents[1]
TEXT = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
_HEREDOC = re.compile(r"<<'(\w+)'\n.*?^\s*\1$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")


def section(title: str) -> str:
    """Returns what stands below a heading of the second level."""
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def blocks(language: str) -> list[str]:
    """Returns the fenced blocks of a language, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", TEXT, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def spans() -> list[str]:
    """Returns everything between backticks outside of fenced blocks."""
    return _SPAN.findall(re.sub(r"^ *```.*?^ *```$", "", TEXT, flags=re.MULTILINE | re.DOTALL))


def commands(program: str) -> list[list[str]]:
    """Returns the words of each command of `program`, in blocks and between backticks."""
    lines = [line for block in blocks("sh") for line in _lines(block)] + spans()
    starts = (re.search(rf"(?:^|[|;]|-- ){program} (.*)", line.strip()) for line in lines)
    return [
        [word.strip("\"'`,;()") for word in found[1].split(" | ")[0].split()] for found in starts if found
    ]


def rows(title: str) -> Iterator[list[str]]:
    """Yields the cells of each row of a section's tables, without their heads."""
    body = False
    for line in section(title).splitlines():
        if not line.startswith("|"):
            body = False
        elif line.startswith("|---"):
            body = True
        elif body:
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def names(cell: str) -> list[str]:
    """Returns what stands between backticks in a cell."""
    return _SPAN.findall(cell)


def _lines(block: str) -> list[str]:
    return _HEREDOC.sub("", block).replace("\\\n", " ").splitlines()
