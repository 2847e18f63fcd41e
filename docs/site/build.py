"""All pages of the site."""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Final

from docs.error_codes import as_markdown, error_codes
from docs.site import files, guides
from docs.site.files import Site
from docs.site.guides import Guide, Section
from docs.site.markdown import to_html
from docs.site.scalar import UnreachableError, bundle

HERE: Final = Path(__file__).parent
OPENAPI: Final = HERE.parents[1] / "gen" / "openapi"
CONTRACTS: Final = {"seedancee2": "Seedancee2", "nextapi": "NextAPI"}
HTML: Final = "text/html; charset=utf-8"
_SCRIPT: Final = "text/javascript; charset=utf-8"
MARKDOWN: Final = "text/markdown; charset=utf-8"
SUMMARY: Final = (
    "Video generation behind one stable API: send a prompt, poll or wait for a signed webhook, and pay in credits that "
    "are reserved, charged or refunded."
)
ERRORS_HEAD: Final = """# Errors

Every refusal is an HTTP status with `{"error": {"code", "message", "type"}}`, on NextAPI without `type`. Act on the `code`, show
the `message`, and quote the `X-Request-Id` of the answer when you report a problem. We may add codes: treat one that you do not know by its status.
"""


def build(folder: Path, *, openapi: Path = OPENAPI) -> bool:
    """Fills `folder` anew. Returns whether the site is complete: without the npm registry, /docs says how to build it."""
    site = files.empty(folder)
    sections = guides.read_sections()
    pages = _Pages(site, sections)
    for section in sections:
        for guide in section.guides:
            pages.add_guide(guide)
    documents = _add_documents(site, openapi)
    pages.add_guide_list()
    pages.add_errors()
    pages.add_landing()
    complete = _add_reference(pages, documents)
    site.add("/llms.txt", _llms(sections, documents), "text/plain; charset=utf-8")
    site.finish()
    return complete


class _Pages:
    """Pages that share one template, one menu, one style and one script."""

    def __init__(self, site: Site, sections: list[Section]) -> None:
        self.site = site
        self.sections = sections
        self._template = Template(_read("page.html"))
        self.assets = {
            "style": site.add_asset("site.css", _read("site.css"), "text/css; charset=utf-8"),
            "script": site.add_asset("site.js", _read("site.js"), _SCRIPT),
            "icon": site.add_asset("icon.svg", _read("icon.svg"), "image/svg+xml"),
        }

    def add(
        self, path: str, *, title: str, body: str, file: str, menu: bool = True, twin: str = "", **served: str
    ) -> None:
        """Serves a page. `twin` is the address of its Markdown."""
        shown = self._template.substitute(
            self.assets,
            title=html.escape(title),
            summary=html.escape(SUMMARY),
            alternate=f'<link rel="alternate" type="text/markdown" href="{twin}">' if twin else "",
            layout="with-menu" if menu else "alone",
            menu=self._menu(path) if menu else "",
            twin=f'<p class="twin"><a href="{twin}">This page as Markdown</a></p>' if twin else "",
            body=body,
            **{f"at_{name}": ' aria-current="page"' if path == at else "" for name, at in _TOP.items()},
        )
        self.site.add(path, shown, HTML, file=file, **served)

    def add_guide(self, guide: Guide) -> None:
        twin = self.site.add(f"{guide.address}.md", guides.twin_of(guide, self.sections), MARKDOWN)
        body = to_html(guide.text, guides.resolver(self.sections, guide.source))
        self.add(
            guide.address, title=guide.title, body=body, file=f"{guide.address.lstrip('/')}.html", twin=twin
        )

    def add_guide_list(self) -> None:
        parts = ["<h1>Guides</h1>"]
        for section in self.sections:
            rows = (
                f'<li><a href="{guide.address}">{html.escape(guide.menu_title)}</a><p>{html.escape(guide.summary)}</p></li>'
                for guide in section.guides
            )
            parts.append(f'<h2>{html.escape(section.title)}</h2><ul class="list">{"".join(rows)}</ul>')
        self.add(guides.ADDRESS, title="Guides", body="\n".join(parts), file="docs/guides/index.html")

    def add_errors(self) -> None:
        text = f"{ERRORS_HEAD}\n{as_markdown(error_codes())}"
        twin = self.site.add("/errors.md", text, MARKDOWN)
        body = to_html(text, lambda target: target)
        self.add(
            "/errors", title="Errors", body=f'<div class="errors">{body}</div>', file="errors.html", twin=twin
        )

    def add_landing(self) -> None:
        body = Template(_read("landing.html")).substitute(guides=self._cards())
        as_json = json.dumps(_landing_json(), indent=2) + "\n"
        self.site.add("/", as_json, "application/json", file="index.json", accept="application/json")
        self.add("/", title="Reelgate", body=body, file="index.html", menu=False)

    def _cards(self) -> str:
        return "".join(
            f"<section><h3>{html.escape(section.title)}</h3><ul>"
            + "".join(
                f'<li><a href="{each.address}">{html.escape(each.menu_title)}</a></li>'
                for each in section.guides
            )
            + "</ul></section>"
            for section in self.sections
        )

    def _menu(self, path: str) -> str:
        parts = []
        for section in self.sections:
            rows = "".join(
                f'<li><a href="{guide.address}"{_current(guide.address, path)}>{html.escape(guide.menu_title)}</a></li>'
                for guide in section.guides
            )
            parts.append(f"<h2>{html.escape(section.title)}</h2><ul>{rows}</ul>")
        return "".join(parts)


_TOP: Final = {"guides": guides.ADDRESS, "reference": "/docs", "errors": "/errors"}


def _current(address: str, path: str) -> str:
    return ' aria-current="page"' if address == path else ""


def _add_documents(site: Site, openapi: Path) -> Mapping[str, str]:
    """Serves the OpenAPI documents. Returns the title of each contract by the address of its document."""
    return {
        site.add(
            f"/openapi/{name}.json", (openapi / f"{name}.json").read_bytes(), "application/openapi+json"
        ): title
        for name, title in CONTRACTS.items()
        if (openapi / f"{name}.json").is_file()
    }


def _add_reference(pages: _Pages, documents: Mapping[str, str]) -> bool:
    try:
        program = pages.site.add_asset("scalar.js", bundle(), _SCRIPT)
    except UnreachableError:
        body = Template(_read("unbuilt.html")).substitute(
            documents="".join(f'<li><a href="{path}">{title}</a></li>' for path, title in documents.items())
        )
        pages.add("/docs", title="API reference", body=body, file="docs/index.html")
        return False
    sources = [
        {"title": title, "slug": title.lower(), "url": path, "default": index == 0}
        for index, (path, title) in enumerate(documents.items())
    ]
    start = _read("reference.js").replace("SOURCES", json.dumps(sources))
    shown = Template(_read("reference.html")).substitute(
        pages.assets,
        before=pages.site.add_asset("before.js", _read("before.js"), _SCRIPT),
        program=program,
        start=pages.site.add_asset("reference.js", start, _SCRIPT),
        reference_style=pages.site.add_asset(
            "reference.css", _read("reference.css"), "text/css; charset=utf-8"
        ),
    )
    pages.site.add("/docs", shown, HTML, file="docs/index.html", policy="reference")
    return True


def _landing_json() -> Mapping[str, object]:
    return {
        "name": "Reelgate",
        "description": SUMMARY,
        "documentation": "/docs",
        "guides": guides.ADDRESS,
        "errors": "/errors",
        "llms": "/llms.txt",
        "openapi": {name: f"/openapi/{name}.json" for name in CONTRACTS},
        "create": {"seedancee2": "POST /v1/videos/generations", "nextapi": "POST /v1/video/generations"},
    }


def _llms(sections: list[Section], documents: Mapping[str, str]) -> str:
    lines = [
        "# Reelgate",
        "",
        f"> {SUMMARY}",
        "",
        "Addresses are relative to the host of this file, which is also that of the API.",
    ]
    for section in sections:
        lines += ["", f"## {section.title}", ""]
        lines += [f"- [{guide.title}]({guide.address}.md): {guide.summary}" for guide in section.guides]
    lines += [
        "",
        "## Reference",
        "",
        "- [Errors](/errors.md): every code with its meaning, its cause, and what to do",
    ]
    lines += [
        f"- [OpenAPI of {title}]({path}): every request, answer and webhook"
        for path, title in documents.items()
    ]
    return "\n".join(lines) + "\n"


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
