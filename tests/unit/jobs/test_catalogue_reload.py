"""A changed catalogue is taken without a restart, and one that cannot be used leaves what was read before in force."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from services.common.telemetry.metrics import REGISTRY
from services.jobs.catalogue.current import CurrentCatalogue, InForce, in_force
from services.jobs.catalogue.load import load_catalogue
from services.jobs.catalogue.problems import CatalogueError

TEXT = """
credentials:
  ark: {{provider: ark, keys: [{{name: main, file: {key}}}, {{name: spare, env: SPARE_KEY}}]}}
routes:
  {route}:
    credential: ark
    model: m
    features: {{resolutions: [480p]}}
    cost_usd_per_second: {{480p: "0.02"}}
models:
  pro:
    resolutions: [480p]
    duration_seconds: {{min: 4, max: 8}}
    aspect_ratios: ["16:9"]
    capabilities: []
    routes: [{{route: {route}}}]
"""


class Folder:
    """A folder of files as Kubernetes mounts them: links into a folder that a link names, which is swapped."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._versions = 0
        self.key = root / "ark-api-key"
        self.file = root / "catalogue.yaml"
        for path in (self.key, self.file):
            path.symlink_to(Path("..data") / path.name)
        self.swap(route="one")

    def swap(self, *, route: str, key: str = "first", text: str | None = None) -> None:
        self._versions += 1
        version = self.root / f"..version_{self._versions}"
        version.mkdir()
        (version / self.file.name).write_text(
            TEXT.format(route=route, key=self.key) if text is None else text, encoding="utf-8"
        )
        (version / self.key.name).write_text(key, encoding="utf-8")
        for path in version.iterdir():
            os.utime(path, (0, 0))  # only the link says that something has changed
        (self.root / "..data_tmp").symlink_to(version.name)
        (self.root / "..data_tmp").replace(self.root / "..data")

    def current(self, *, live_on_simulator: bool = False, spare: str = "spare") -> CurrentCatalogue:
        def read() -> InForce:
            file = load_catalogue(self.file, live_on_simulator=live_on_simulator)
            return in_force(file, {"SPARE_KEY": spare})

        return CurrentCatalogue(self.file, read)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def refused() -> float | None:
    return REGISTRY.get_sample_value("reelgate_catalogue_refused")


async def test_a_swapped_link_brings_the_new_catalogue_and_the_new_key(folder: Folder) -> None:
    current = folder.current()
    before = current.in_force
    assert dict(before.keys) == {("ark", "main"): "first", ("ark", "spare"): "spare"}

    await current.look()
    assert current.in_force is before

    folder.swap(route="two", key="second")
    await current.look()

    assert set(current().routes) == {"two"}
    assert current.in_force.keys["ark", "main"] == "second"
    assert refused() == 0


@pytest.mark.parametrize("rename", [True, False], ids=["renamed over it", "written into it"])
async def test_a_plain_file_may_be_replaced_or_rewritten(folder: Folder, rename: bool) -> None:
    text = folder.file.read_text(encoding="utf-8").replace("one", "another")
    folder.file.unlink()
    folder.file.write_text(TEXT.format(route="one", key=folder.key), encoding="utf-8")
    current = folder.current()

    if rename:
        (folder.root / "new.yaml").write_text(text, encoding="utf-8")
        (folder.root / "new.yaml").replace(folder.file)
    else:
        folder.file.write_text(text, encoding="utf-8")
    await current.look()

    assert set(current().routes) == {"another"}


async def test_a_key_file_alone_may_change(folder: Folder) -> None:
    current = folder.current()
    folder.key.unlink()
    folder.key.write_text("rotated\n", encoding="utf-8")

    await current.look()

    assert current.in_force.keys["ark", "main"] == "rotated"


BAD: dict[str, Callable[[Folder], None]] = {
    "not YAML": lambda folder: folder.swap(route="two", text="models: ["),
    "empty": lambda folder: folder.swap(route="two", text=""),
    "not there": lambda folder: folder.file.unlink(),
    "wrong": lambda folder: folder.swap(
        route="two", text=TEXT.format(route="two", key="k").replace("480p", "9p")
    ),
    "empty key": lambda folder: folder.swap(route="two", key=" \n"),
    "no key": lambda folder: folder.key.unlink(),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_one_leaves_the_one_before_in_force_and_says_so_once(
    case: str, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    current = folder.current()
    before = current.in_force

    with caplog.at_level(logging.INFO):
        BAD[case](folder)
        for _ in range(3):
            await current.look()

    assert current.in_force is before
    assert refused() == 1
    said = [record.getMessage() for record in caplog.records]
    assert said
    assert len(said) == len(set(said))
    assert all("the catalogue is refused, and the one before stays in force: " in each for each in said)
    assert "first" not in "".join(said)


async def test_a_corrected_one_is_taken_and_ends_the_alarm(folder: Folder) -> None:
    current = folder.current()
    folder.swap(route="two", key="")
    await current.look()
    assert refused() == 1

    folder.swap(route="three", key="second")
    await current.look()

    assert set(current().routes) == {"three"}
    assert refused() == 0


def test_a_process_does_not_start_without_its_keys_and_names_all_that_are_missing(folder: Folder) -> None:
    folder.swap(route="one", key="")

    with pytest.raises(CatalogueError) as raised:
        folder.current(spare="")

    assert [problem.place for problem in raised.value.problems] == [
        "credentials.ark.keys.main",
        "credentials.ark.keys.spare",
    ]


def test_while_the_simulator_renders_all_keys_are_optional(folder: Folder) -> None:
    folder.swap(route="one", key="")

    assert dict(folder.current(live_on_simulator=True).in_force.keys) == {("ark", "spare"): "spare"}


@pytest.mark.parametrize("key", ["two words", "sk-ümlaut"])
def test_what_cannot_be_a_key_is_refused_and_never_shown(folder: Folder, key: str) -> None:
    folder.swap(route="one", key=key)

    with pytest.raises(
        CatalogueError, match="holds spaces or other signs; put the key there alone"
    ) as raised:
        folder.current()

    assert key not in str(raised.value)
