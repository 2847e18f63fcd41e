"""Markdown to HTML: what the guides use, and nothing else."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

Resolve = Callable[[str], str | None]
"""From the target of a link to the address it has on the site. None: that page is not published."""
COMMENT: Final = re.compile(r"\s*(<!--.*?-->\s*)+", re.DOTALL)
OUTPUT: Final = "<!-- output -->"
"""Stands before a block that shows what the block before it prints."""
EXAMPLE_BASES: Final = ("http://127.0.0.1:8080", "https://api.example.com")
"""Where the API is, in examples. On the site it is the visitor's own address (site.js)."""
SCROLLING: Final = 'tabindex="0" role="group"'
"""What is wider than a small screen scrolls, also by keyboard."""


class SiteError(Exception):
    """The site cannot be built from what is there."""


def to_html(text: str, resolve: Resolve) -> str:
    """Returns the page as HTML: headings have the anchors that GitHub gives them. Raises SiteError at raw HTML."""
    parser = _parser()
    tokens = parser.parse(text)
    _name_headings(tokens)
    _point_links(tokens, resolve)
    rendered: str = parser.renderer.render(tokens, parser.options, {})
    return rendered


def title_of(text: str) -> str:
    """Returns the first heading. Raises SiteError when the page does not begin with one."""
    first = text.lstrip().partition("\n")[0]
    if not first.startswith("# "):
        raise SiteError(f"A page begins with its title, `# …`; this one begins with {first!r}.")
    return first.removeprefix("# ").strip()


def summary_of(text: str) -> str:
    """Returns the first paragraph in one line, without marks."""
    tokens = _parser().parse(text)
    starts = (index for index, token in enumerate(tokens) if token.type == "paragraph_open")
    for index in starts:
        return _plain(tokens[index + 1])
    return ""


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True, "highlight": _highlighted}).enable("table")
    parser.add_render_rule("html_block", _comment)
    parser.add_render_rule("html_inline", _comment)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    parser.add_render_rule("fence", _fence)
    return parser


def _highlighted(code: str, language: str, _attributes: str) -> str:
    try:
        lexer = get_lexer_by_name(language or "text", stripnl=False)
    except ClassNotFound as error:
        raise SiteError(f"No highlighting is known for ```{language}.") from error
    marked: str = highlight(code, lexer, HtmlFormatter(nowrap=True))
    for base in EXAMPLE_BASES:
        marked = marked.replace(base, f"<span data-base>{base}</span>")
    return marked


def _fence(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    token = tokens[index]
    language = token.info.strip()
    code = _highlighted(token.content, language, "")
    printed = index > 0 and tokens[index - 1].content.strip() == OUTPUT
    kind, label = ("code printed", "what it prints") if printed else ("code", language or "text")
    return f'<div class="{kind}"><pre {SCROLLING} aria-label="{label}"><code>{code}</code></pre></div>\n'


def _table_open(_renderer: Any, _tokens: Sequence[Token], _index: int, _options: Any, _env: Any) -> str:
    return f'<div class="table" {SCROLLING} aria-label="table"><table>\n'


def _table_close(_renderer: Any, _tokens: Sequence[Token], _index: int, _options: Any, _env: Any) -> str:
    return "</table></div>\n"


def _comment(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    content = tokens[index].content
    if not COMMENT.fullmatch(content):
        raise SiteError(f"Pages hold no HTML but comments; this one holds {content.strip()[:80]!r}.")
    return ""


def _name_headings(tokens: Sequence[Token]) -> None:
    taken: dict[str, int] = {}
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            slug = re.sub(r"[^\w\- ]", "", _plain(tokens[index + 1]).lower()).replace(" ", "-")
            count = taken.get(slug, 0)
            taken[slug] = count + 1
            token.attrSet("id", f"{slug}-{count}" if count else slug)


def _plain(inline: Token) -> str:
    shown = (child for child in inline.children or () if child.type in {"text", "code_inline", "softbreak"})
    return "".join(" " if child.type == "softbreak" else child.content for child in shown)


def _point_links(tokens: Sequence[Token], resolve: Resolve) -> None:
    for token in tokens:
        open_links: list[Token] = []
        for child in token.children or ():
            if child.type == "link_open":
                open_links.append(child)
                target = resolve(str(child.attrGet("href")))
                if target is None:
                    # A page for those who operate the system, say. The words stay.
                    child.tag, child.attrs = "span", {}
                else:
                    child.attrSet("href", target)
            elif child.type == "link_close":
                child.tag = open_links.pop().tag
