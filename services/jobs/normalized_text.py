"""How a prompt may be read once disguises are taken off it. The words of rules go through the same."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

# Letters of other alphabets that are drawn like Latin ones, after compatibility folding and case folding.
_LOOK_ALIKES = {
    **dict(zip("абвгдезіийкмнорстухһјѕԁԛԝьѵ", "abbrdesiiikmhopctyxhjsdqwbv", strict=True)),
    **dict(zip("αβγδεζηικμνορσςτυχω", "abydezhikuvopsstuxw", strict=True)),
    **dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnopqrstuvwyz", strict=True)),
    **dict(zip("øđłıħŧƒɑɡĸ", "odlihtfagk", strict=True)),
    "æ": "ae",
    "œ": "oe",
    # Letters in circles, in squares and as flags, which compatibility folding leaves alone.
    **{
        chr(first + place): chr(ord("a") + place)
        for first in (0x1F150, 0x1F170, 0x1F1E6)
        for place in range(26)
    },
}
# Drawn as nothing, yet letters to Unicode: the Hangul fillers.
_INVISIBLE_LETTERS = frozenset("\u115f\u1160")
_INVISIBLE_CATEGORIES = frozenset({"Mn", "Me", "Cf"})
# Letters and symbols whose names in Unicode say that they are drawn as nothing: blanks, fillers, an empty note head.
_EMPTY_GLYPHS = _INVISIBLE_LETTERS | frozenset("\u3164\uffa0\u2800\U0001d159\U00013441\U00013442")
_SHOWN_CATEGORIES = "LNPSM"
# Not assigned, and to be drawn as nothing whenever they are.
_RESERVED_BLANKS = (range(0xFFF0, 0xFFF9), range(0xE0000, 0xE1000))
_CHARACTERS_KNOWN_MAX = 8192
# A few characters stand for whole sentences; with more of them a prompt would grow many times.
_LETTERS_PER_CHARACTER_MAX = 4

_LEET = {
    "0": "o", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g",
    "@": "a", "$": "s", "€": "e", "+": "t", "!": "i",
}  # fmt: skip
# 1 and | stand for i as often as for l, so that such words have two readings.
_LEET_READINGS = tuple(str.maketrans({**_LEET, "1": letter, "|": letter}) for letter in "il")
_LEET_SIGNS = "0-9@$€+!|"
_LEET_WORD = re.compile(rf"[{_LEET_SIGNS}][^\W\d_]|[^\W\d_][{_LEET_SIGNS}]")
# Neither may begin inside a run of signs: else a prompt of nothing but signs takes the square of its length.
# At the end of a word these are punctuation.
_FINAL_SIGNS = re.compile(r"(?<![!|+])[!|+]++(?![^\W_])")
_SIGN = r"[^\w\s@$€+!|]"
_INNER_SIGNS = re.compile(rf"{_SIGN}(?<!{_SIGN}.){_SIGN}*+(?=[^\W_])")

_WORD = re.compile(r"[^\W_]+")
_PARTED = {code: " " for code in range(128) if not chr(code).isalnum()}
_SPELLED = re.compile(r"(?: [^ ]){3,}(?= )")


@dataclass(frozen=True)
class Readings:
    """What a text may mean to its readers."""

    texts: tuple[str, ...]
    """Each with a space before and after every word, and nothing else but letters and digits."""
    spelled: tuple[str, ...]
    """What is spelled letter by letter, without the spaces; where its words begin is not known."""


def readings_of(text: str) -> Readings:
    """Returns the readings of a text: as it stands, with signs inside words left out, with digits as letters.

    Unicode variants, accents, case, characters without width and look-alikes of Latin letters are folded before.
    """
    plain = _without_disguise(text)
    texts = tuple(dict.fromkeys(map(_words, dict.fromkeys(_as_written(plain)))))
    spelled = (run.group().replace(" ", "") for run in _SPELLED.finditer(texts[0]))
    return Readings(texts, tuple(dict.fromkeys(reading for run in spelled for reading in _as_leet(run))))


def words_of(term: str) -> str:
    """Returns the words of a term as they stand in a reading, with a space before and after each."""
    return _words(_without_disguise(term))


def _without_disguise(text: str) -> str:
    lower = text.lower()
    return lower if lower.isascii() else lower.translate(_FOLDED)


def is_blank(text: str) -> bool:
    """Returns whether a text shows nothing: spaces, controls, formats, marks without a letter, and empty glyphs."""
    return not any(map(_is_shown, text))


def _is_shown(character: str) -> bool:
    category = unicodedata.category(character)
    if character in _EMPTY_GLYPHS:
        return False
    if category == "Cn":
        # Most likely a character younger than this table.
        return not any(ord(character) in blanks for blanks in _RESERVED_BLANKS)
    is_drawn = category == "Co" or category[0] in _SHOWN_CATEGORIES
    return is_drawn and category not in _INVISIBLE_CATEGORIES


class _Folded(dict[int, str]):
    """What each character is read as. Those that were met are remembered, up to a limit."""

    def __missing__(self, code: int) -> str:
        found = _fold(chr(code))
        if len(self) < _CHARACTERS_KNOWN_MAX:
            self[code] = found
        return found


def _fold(character: str) -> str:
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    if len(decomposed) > _LETTERS_PER_CHARACTER_MAX:
        return " "
    return "".join(_LOOK_ALIKES.get(part, part) for part in decomposed if not _is_invisible(part))


_FOLDED = _Folded()


def _is_invisible(character: str) -> bool:
    return unicodedata.category(character) in _INVISIBLE_CATEGORIES or character in _INVISIBLE_LETTERS


def _as_written(plain: str) -> Iterator[str]:
    yield plain
    joined = _INNER_SIGNS.sub("", plain.replace("_", "-"))
    if _LEET_WORD.search(joined):
        yield from _as_leet(_FINAL_SIGNS.sub(" ", joined))
    else:
        yield joined


def _as_leet(text: str) -> Iterator[str]:
    return (text.translate(reading) for reading in _LEET_READINGS)


def _words(text: str) -> str:
    words = text.translate(_PARTED).split() if text.isascii() else _WORD.findall(text)
    return f" {' '.join(words)} "
