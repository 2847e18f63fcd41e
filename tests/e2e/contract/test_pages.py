"""People read the pages in a real browser: on a telephone, in the dark, without a mouse, and make a video there."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.common.site import shipped_site
from tests.browser import in_browser
from tests.e2e.customer import ENDED, data_of, open_customer
from tests.e2e.local_stack import Account, Stack
from tests.patience import PATIENCE_SECONDS

SCRIPT = Path(__file__).with_name("pages.mjs")
REFERENCE = "/docs"
FAULTS_OF_SCALAR = {"button-name", "scrollable-region-focusable"}
"""The button that copies an answer has no name, and a list of endpoints that scrolls on a telephone takes no focus."""
GRAVE = {"serious", "critical"}


def pages() -> list[str]:
    site = shipped_site()
    assert site is not None, "there is no site: run `make site`"
    served = json.loads((site / "site.json").read_text())["files"]
    return sorted({each["path"] for each in served if each["type"].startswith("text/html")})


@pytest.fixture(scope="module")
def seen(stack: Stack, account: Account) -> Any:
    """What the browser reports of all pages."""
    return in_browser(SCRIPT, stack.edge, account.keys["test"], *pages())


def shown(seen: Any) -> list[tuple[str, str, Any]]:
    return [(view, path, page) for view, found in seen["views"].items() for path, page in found.items()]


def test_every_page_is_there_and_nothing_is_wrong_with_it(seen: Any) -> None:
    assert {path for _, path, _ in shown(seen)} >= {"/", REFERENCE, "/docs/guides", "/errors"}
    assert [(view, path) for view, path, page in shown(seen) if page["status"] != 200] == []
    # Of the console, of requests that failed, and of what the policy refused.
    assert seen["complaints"] == []


def test_no_page_asks_another_host(seen: Any) -> None:
    assert seen["foreign"] == []


def test_nothing_is_wider_than_a_telephone(seen: Any) -> None:
    widths = {path: page["wide"] for path, page in seen["views"]["phone"].items()}

    assert {path: wide for path, wide in widths.items() if wide > 360} == {}


def test_pages_are_dark_where_the_system_is(seen: Any) -> None:
    for path, page in seen["views"]["dark"].items():
        assert page["paper"] == "rgb(18, 20, 26)", path
        assert seen["views"]["light"][path]["paper"] == "rgb(255, 255, 255)", path


def test_nobody_is_kept_out(seen: Any) -> None:
    grave = [
        (view, path, fault["id"], fault["where"])
        for view, path, page in shown(seen)
        for fault in page["faults"]
        if fault["impact"] in GRAVE and not (path == REFERENCE and fault["id"] in FAULTS_OF_SCALAR)
    ]

    assert grave == []


def test_a_keyboard_is_enough(seen: Any) -> None:
    typed = seen["keyboard"]

    assert [step["text"] for step in typed["steps"] if not step["visible"]] == []
    texts = [step["text"] for step in typed["steps"]]
    assert texts[:2] == ["Skip to content", "Reelgate"]
    assert texts[-1] == "Copy"
    assert typed["skipped"].endswith("/#content")
    assert typed["after"] == REFERENCE


def test_the_first_page_has_the_visitors_own_address(seen: Any, stack: Stack) -> None:
    assert seen["keyboard"]["copied"].startswith(f"curl -s {stack.edge}/v1/videos/generations ")


async def test_trying_it_in_the_reference_makes_a_video(seen: Any, stack: Stack, account: Account) -> None:
    made = seen["tried"]
    assert made["status"] == 200, made["body"]

    async with open_customer(stack.edge, account.keys["test"]) as customer:
        ended = await customer.until(made["body"]["data"]["id"], ENDED, seconds=PATIENCE_SECONDS)

    assert data_of(ended)["status"] == "completed"
    assert data_of(ended)["output"]["video_url"].startswith(stack.edge)
    assert not made["kept"], "the key outlives the page"
