"""The wheel holds the product: every file that is not Python too, and nothing of what surrounds it."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.wheel.conftest import Install
from tests.wheel.installation import ROOT

PAGES = "build/site/"
SHIPPED = {
    "services/": "services/",
    "gen/reelgate/": "reelgate/",
    "gen/buf/": "buf/",
    PAGES: "services/edge/site/",
}
"""Folders of the checkout, and where they are in the wheel."""


def files_of_product() -> set[str]:
    command = ("git", "ls-files", "--cached", "--others", "--exclude-standard", *SHIPPED)
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    pages = {str(path.relative_to(ROOT)) for path in (ROOT / PAGES).rglob("*") if path.is_file()}
    return pages | {path for path in listed.stdout.splitlines() if (ROOT / path).exists()}


def in_wheel(path: str) -> str:
    [(source, target)] = [each for each in SHIPPED.items() if path.startswith(each[0])]
    return target + path.removeprefix(source)


def test_the_wheel_holds_every_file_of_the_product_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}

    files = files_of_product()
    assert {Path(name).suffix for name in files} >= {
        ".py",
        ".sql",
        ".lua",
        ".wasm",
        ".yaml",
        ".binpb",
        ".html",
        ".gz",
    }
    assert held == {in_wheel(name) for name in files}


def test_the_wheel_of_the_client_holds_its_package_and_nothing_else(wheel: Path) -> None:
    [of_client] = wheel.parent.glob("reelgate_client-*.whl")
    source = ROOT / "clients" / "python" / "src"
    with zipfile.ZipFile(of_client) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}

    listed = subprocess.run(
        ("git", "ls-files", "--cached", "--others", "--exclude-standard"),
        cwd=source,
        capture_output=True,
        text=True,
        check=True,
    )
    assert held == set(listed.stdout.splitlines())
    assert "reelgate_client/py.typed" in held


def test_a_shipped_file_has_the_bytes_of_the_checkout(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        changed = [
            name for name in files_of_product() if archive.read(in_wheel(name)) != (ROOT / name).read_bytes()
        ]

    assert changed == []


def test_the_edge_renders_from_the_wheel_what_it_renders_from_the_checkout(installed: Install) -> None:
    rendered = installed("edge").run("-m", "services.edge", "render", env={})

    assert rendered.returncode == 0, rendered.stderr
    assert rendered.stdout == (ROOT / "deploy" / "envoy" / "envoy.yaml").read_text()
    assert installed("edge").opened_of_checkout == []


@pytest.mark.parametrize("image", ["base", "services", "edge", "stack"])
def test_the_command_starts_from_any_installation(installed: Install, image: str) -> None:
    command = installed(image).folder / "bin" / "reelgate"

    shown = subprocess.run([command, "--help"], cwd="/", capture_output=True, text=True, check=True)

    assert "Usage: reelgate" in shown.stdout
