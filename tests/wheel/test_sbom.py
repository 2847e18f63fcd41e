"""The bill of materials of an image is valid, and names what the image holds: each pin, and the product."""

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy.sbom import SPECIFICATION, write_sbom
from tests.wheel.conftest import Install
from tests.wheel.installation import pinned


@pytest.mark.parametrize("image", ["services", "edge", "stack"])
def test_a_bill_of_materials_is_valid_and_names_every_pin_of_the_image(
    installed: Install, image: str, tmp_path: Path
) -> None:
    written = tmp_path / "image.cdx.json"

    write_sbom(installed(image).python, written)

    text = written.read_text()
    assert JsonStrictValidator(SchemaVersion.from_version(SPECIFICATION)).validate_str(text) is None
    bill = json.loads(text)
    named = {
        (part["purl"].partition("@")[0], part["version"]) for part in bill["components"] if "purl" in part
    }
    pins = {(f"pkg:pypi/{each.name}", str(each.specifier).removeprefix("==")) for each in pinned(image)}
    assert named - {("pkg:pypi/reelgate", bill["metadata"]["component"]["version"])} == pins
    # It is installed from a file, so no index has it.
    assert [part["name"] for part in bill["components"] if "purl" not in part] == ["reelgate-client"]
    assert bill["metadata"]["component"]["name"] == "reelgate"


def test_a_bill_of_materials_says_the_same_when_it_is_written_again(
    installed: Install, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        write_sbom(installed("edge").python, tmp_path / name)

    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
