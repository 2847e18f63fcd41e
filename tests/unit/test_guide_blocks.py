"""The blocks of a page run in order, share what they set, and cannot fail unnoticed."""

import os
from pathlib import Path

import pytest

from tests.e2e.guides.blocks import agrees, blocks_of
from tests.e2e.guides.running import BlockError, open_page

PAGE = """
# A page

```sh
GREETING="good day"
```

```sh
echo "$GREETING"
```

<!-- output -->
```text
good …
```

```python
number = 41
```

```python
print(number + 1)
```

```javascript
console.log(6 * 7)
```

<!-- not run: it needs another company's key -->
```sh
exit 3
```
"""


def run_all(text: str, folder: Path) -> list[str]:
    page = folder / "page.md"
    page.write_text(text)
    with open_page(folder, {"PATH": os.environ["PATH"]}) as opened:
        return [opened.run(block) for block in blocks_of(page) if block.runs]


def test_blocks_share_what_they_set(tmp_path: Path) -> None:
    assert run_all(PAGE, tmp_path) == ["", "good day\n", "", "42\n", "42\n"]


def test_a_page_says_why_a_block_does_not_run_and_what_one_prints(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)

    blocks = list(blocks_of(page))

    assert [block.why_not_run for block in blocks if block.why_not_run] == ["it needs another company's key"]
    assert [block.text for block in blocks if block.is_output] == ["good …\n"]


@pytest.mark.parametrize(
    "block",
    [
        "```sh\nfalse\n```",
        "```sh\necho $UNSET\n```",
        "```python\nraise SystemExit(1)\n```",
        "```javascript\nthrow new Error('no')\n```",
        '```json\n{"a": 1,}\n```',
        "```cobol\nSTOP RUN.\n```",
        "<!-- not run: short -->\n```cobol\nSTOP RUN.\n```",
    ],
)
def test_a_block_that_does_not_work_is_an_error(block: str, tmp_path: Path) -> None:
    with pytest.raises(BlockError):
        run_all(block, tmp_path)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [("a … c", "a b\nb c\n", True), ("a … c", "a b", False), ("a.c", "abc", False), ("", "", True)],
)
def test_an_ellipsis_stands_for_anything(shown: str, printed: str, *, same: bool) -> None:
    assert agrees(shown, printed) is same
