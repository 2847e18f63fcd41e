"""What prompts may be read as, whatever disguise they wear."""

import pytest

from services.jobs.normalized_text import readings_of, words_of


@pytest.mark.parametrize(
    "disguised",
    [
        "kill",
        "KILL!",
        "«Kill»",
        "\uff4b\uff49\uff4c\uff4c",
        "\U0001d4f4\U0001d4f2\U0001d4f5\U0001d4f5",
        "ⓚⓘⓛⓛ",
        "🅺🅸🅻🅻",
        "🇰🇮🇱🇱",
        "ᴋɪʟʟ",
        "k\u00edl\u0301l",
        "k\u0336i\u0336l\u0336l\u0336",
        "ki\u200b\u200dl\u2060l",
        "\ufeffki\u00adll",
        "k\u202eill",
        "k\u3164ill",
        "\u043a\u0456ll",
        "\u03ba\u03b9ll",
        "k1ll",
        "k!ll",
        "ki|l",
        "ki11",
        "ki-ll",
        "k.i.l.l",
        "k_i_l_l",
        "k*i*l*l",
        "k.1.l.l",
        "k...i...l...l",
    ],
)
def test_a_disguised_word_is_read_as_itself(disguised: str) -> None:
    texts = readings_of(f"Please {disguised} it").texts

    assert any(" kill " in text for text in texts)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("make a b o m b now", "abomb"),
        ("make a b 0 m b now", "abomb"),
        ("k - i - l - l", "kill"),
        ("k i  l\tl", "kill"),
    ],
)
def test_what_is_spelled_letter_by_letter_is_put_together(text: str, spelled: str) -> None:
    assert spelled in readings_of(text).spelled


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("A b c", " a b c "),
        ("Wow! 3D, 24 fps.", " wow 3d 24 fps "),
        ("well-known", " well known "),
        ("assassin's creed", " assassin s creed "),
        ("", "  "),
        ("日本の海", " 日本の海 "),
        ("Straße", " strasse "),
    ],
)
def test_the_first_reading_is_the_text_in_lower_case_words(text: str, read: str) -> None:
    assert readings_of(text).texts[0] == read


def test_plain_words_have_one_reading() -> None:
    readings = readings_of("A paper boat sails down a rainy street.")

    assert readings.texts == (" a paper boat sails down a rainy street ",)
    assert readings.spelled == ()


def test_words_are_not_joined_across_spaces() -> None:
    texts = readings_of("gra pes - cot ton").texts

    assert not any("grapes" in text or "cotton" in text for text in texts)


@pytest.mark.parametrize("term", ["AK-47", "Ünder  Age", "l'été", "k1ll"])
def test_a_term_is_found_in_a_text_that_holds_it(term: str) -> None:
    assert words_of(term) in readings_of(f"before {term} after").texts[0]


@pytest.mark.parametrize(
    "signs", ["-" * 10_000, "_-" * 5_000, "!" * 10_000, "\ufdfa" * 10_000, "\u0301" * 10_000]
)
def test_a_prompt_of_nothing_but_signs_has_no_words(signs: str) -> None:
    assert readings_of(signs).texts == ("  ",)
