"""What every image of ours keeps to: a numeric user who is not root, and nothing that is only needed to build it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
IMAGES = ("services", "edge", "mcp", "stack")
STAGE = re.compile(r"^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM |\Z)", re.MULTILINE | re.DOTALL)


def stages() -> dict[str, tuple[str, list[str]]]:
    """Returns each stage by name: what it builds on, and its instructions, one a line."""
    return {
        name: (base, re.findall(r"^[A-Z]+ .*$", text.replace("\\\n", " "), re.MULTILINE))
        for base, name, text in STAGE.findall(DOCKERFILE)
    }


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_the_base_and_what_was_installed_elsewhere(image: str) -> None:
    base, instructions = stages()[image]

    assert base == "runtime"
    assert stages()["runtime"][0] == "${BASE}"
    assert not [each for each in (*stages()["runtime"][1], *instructions) if each.startswith(("RUN", "ADD"))]
    assert [each for each in instructions if each.startswith("COPY")] == [
        f"COPY --from=installed-{image} /opt/reelgate /opt/reelgate"
    ]


def test_images_run_as_a_user_who_is_not_root() -> None:
    users = [
        each for _, instructions in stages().values() for each in instructions if each.startswith("USER")
    ]

    assert users == ["USER 10001:10001"]
    assert "USER 10001:10001" in stages()["runtime"][1]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_installs_what_its_lock_pins_and_tries_what_is_installed(image: str) -> None:
    [run] = [each for each in stages()[f"installed-{image}"][1] if each.startswith("RUN")]

    assert run.startswith(f"RUN deploy/install.sh {image} && /opt/reelgate/bin/python -P -c ")
    assert (ROOT / "deploy" / "locks" / f"{image}.lock").is_file()


def test_a_build_sees_what_it_copies_and_nothing_else() -> None:
    copied = {
        source
        for _, instructions in stages().values()
        for each in instructions
        if each.startswith("COPY ") and "--from=" not in each
        for source in each.split()[1:-1]
    }
    ignored = (ROOT / ".dockerignore").read_text().split()
    shown = {line.removeprefix("!") for line in ignored if line.startswith("!")}

    assert ignored[0] == "*"
    assert shown == {source for source in copied if f"{Path(source).parent}" not in shown}
