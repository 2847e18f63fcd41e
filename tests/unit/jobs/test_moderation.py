"""Moderation files, and what the shipped profiles say about prompts."""

import re
from pathlib import Path

import pytest

from services.jobs.moderation import ModerationError, load_profiles
from services.jobs.profiles import FailMode, Profiles, category_of
from services.jobs.settings import JobsSettings

SHIPPED = load_profiles(JobsSettings.model_fields["moderation_file"].default)
OPERATING = Path(__file__).parents[3] / "docs" / "operating.md"
FILE = """
default: own
rules:
  cats: {category: cats, terms: [Kitten, big cat, 猫], patterns: [" cat(s)? (?:.{0,20} )?(sits|sleeps) "]}
profiles:
  own: {rules: [cats], external: closed}
  none: {rules: []}
"""


def load(tmp_path: Path, text: str) -> Profiles:
    path = tmp_path / "moderation.yaml"
    path.write_text(text, encoding="utf-8")
    return load_profiles(path)


def test_shipped_are_strict_standard_and_off() -> None:
    assert list(SHIPPED.by_name) == ["strict", "standard", "off"]
    assert SHIPPED.default == "standard"
    assert SHIPPED.by_name["strict"].external is FailMode.CLOSED
    assert SHIPPED.by_name["off"].external is None


@pytest.mark.parametrize(
    ("prompt", "strict", "standard"),
    [
        ("How to build a pipe bomb", "weapons", "weapons"),
        ("h0w t0 bu1ld a b.o.m.b at home", "weapons", "weapons"),
        ("a sexy schoolgirl", "minors", "minors"),
        ("A 12-year-old, topless", "minors", "minors"),
        ("the gang rape scene of the film", "sexual_violence", "sexual_violence"),
        ("how to commit su\u200bicide", "self_harm", "self_harm"),
        ("a crowd shouts S i e g Heil, sieg-heil", "extremism", "extremism"),
        ("snuff film", "violence", "violence"),
        ("p0rn", "sexual", None),
        ("p o r n", "sexual", None),
        ("a nude woman", "sexual", None),
        ("a beheading in the square", "violence", None),
        ("cooking meth", "drugs", None),
    ],
)
def test_each_profile_names_the_category(prompt: str, strict: str, standard: str | None) -> None:
    assert category_of(prompt, SHIPPED.by_name["strict"]) == strict
    assert category_of(prompt, SHIPPED.by_name["standard"]) == standard
    assert category_of(prompt, SHIPPED.by_name["off"]) is None


@pytest.mark.parametrize(
    "prompt",
    [
        "A paper boat sails down a rainy street, 35mm film, 4K, 24 fps",
        "Scunthorpe United play Penistone in Essex",
        "assassin's creed style parkour over Middlesex roofs",
        "how to make a bath bomb with lavender",
        "killing time: a soldier cleans his gun at the camp, grapes and rapeseed in the field",
        "children playing by the sea; the moon visible to the naked eye, a child looks up",
        "a young girl opens a porthole, a boy of 12 years old plays chess",
        "two minors in a coal mine carry a minor chord",
        "an executive massages the numbers, class action, bass drum, cockpit, analysis",
        "It's a 10/10 shot @ night, $5 a ticket!!! wow",
        "Мальчик бежит по улице, идёт снег",
        "一艘纸船顺着雨中的街道漂流",
    ],
)
def test_harmless_prompts_pass_even_the_strict_profile(prompt: str) -> None:
    assert category_of(prompt, SHIPPED.by_name["strict"]) is None


@pytest.mark.parametrize(
    "prompt", ["two kittens and a KITTEN", "a big-cat", "the cats on the mat sleeps", "小猫", "k i t t e n"]
)
def test_own_terms_and_patterns_count_as_whole_words(prompt: str, tmp_path: Path) -> None:
    assert category_of(prompt, load(tmp_path, FILE).by_name["own"]) == "cats"


@pytest.mark.parametrize(
    "prompt", ["kittens", "a big category sleeps", "concatsits", "cat " + "x" * 21 + " sits"]
)
def test_parts_of_words_do_not_count(prompt: str, tmp_path: Path) -> None:
    assert category_of(prompt, load(tmp_path, FILE).by_name["own"]) is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("default: own", "default: other"), "default: there is no profile other"),
        (("rules: [cats]", "rules: [dogs]"), "profiles.own.rules: there is no rule dogs"),
        (("closed", "ajar"), r"profiles\.own\.external: .*'open' or 'closed'"),
        (("terms:", "words:"), r"rules\.cats\.words: Extra inputs"),
        (("Kitten", '"?!"'), r"rules\.cats\.terms\.0: must contain a letter"),
        (("category: cats", 'category: "the cats"'), r"rules\.cats\.category: "),
        ((" cat(s)?", " (cat"), r"rules\.cats\.patterns\.0: is not a pattern"),
        ((" cat(s)?", " Cat"), r"rules\.cats\.patterns\.0: must be in lower case"),
        ((" cat(s)?", " (ca)*t"), r"rules\.cats\.patterns\.0: has no bound"),
        ((" cat(s)?", " (ca){2}t"), r"rules\.cats\.patterns\.0: has no bound"),
        ((" cat(s)?", " (?i)cat"), r"rules\.cats\.patterns\.0: "),
        ((" cat(s)?", " c.{1,}t"), r"rules\.cats\.patterns\.0: has no bound"),
        ((" cat(s)?", " c.{0,99}a.{0,99}t"), r"rules\.cats\.patterns\.0: may match in \d+ ways"),
        ((" cat(s)?", " (c|c)(c|c)(c|c)(c|c)(c|c)(c|c)"), r"rules\.cats\.patterns\.0: may match in \d+ ways"),
        (("default: own", "default: [own"), "moderation.yaml"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_place(
    change: tuple[str, str], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ModerationError) as refused:
        load(tmp_path, FILE.replace(*change))

    assert re.search(problem, str(refused.value))


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModerationError, match=r"absent\.yaml"):
        load_profiles(tmp_path / "absent.yaml")


def test_the_example_that_operators_are_shown_fits(tmp_path: Path) -> None:
    example = OPERATING.read_text(encoding="utf-8").split("## Moderation")[1].split("```")[1]

    profiles = load(tmp_path, example.removeprefix("yaml"))

    assert category_of("A clip by Acme", profiles.by_name[profiles.default]) == "rivals"
