import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from PIL import Image, ImageDraw, ImageFont, ImageOps

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

MARGIN_SHARE: Final = 0.035
CAPTION_WIDTH_SHARE: Final = 0.88
CAPTION_HEIGHT_SHARE: Final = 0.36
FONT_HEIGHT_SHARES: Final = (0.05, 0.042, 0.035, 0.029)
TEXT_LENGTH_MAX: Final = 1_000
LINE_SPACING: Final = 1.3
BACKING: Final = (8, 8, 14, 165)
WATERMARK_TEXT: Final = "AI Generated"
# Pillow's own font draws ASCII and little else: accents are dropped, dashes and signs replaced.
SUBSTITUTES: Final = str.maketrans(
    {"\N{EM DASH}": "-", "\N{EN DASH}": "-", "\N{MULTIPLICATION SIGN}": "x", "\N{BULLET}": "*"}
)


def caption(text: str, *, width: int, height: int) -> Image.Image:
    """The text, wrapped on a dark backing at the bottom left of an otherwise clear picture.

    Long texts are set smaller, and end in an ellipsis when even that does not fit.
    """
    font, lines, line_height = _fit(_drawable(text), width=width, height=height)
    image = _clear(width, height)
    draw = ImageDraw.Draw(image)
    margin = round(min(width, height) * MARGIN_SHARE)
    padding = line_height // 2
    across = max(round(font.getlength(line)) for line in lines) + 2 * padding
    # The lowest strip stays free: the watermark goes there.
    bottom = height - 2 * margin - line_height // 2
    top = bottom - line_height * len(lines) - padding
    draw.rounded_rectangle((margin, top, margin + across, bottom), padding, fill=BACKING)
    for row, line in enumerate(lines):
        draw.text((margin + padding, top + padding * 0.6 + row * line_height), line, (255, 255, 255), font)
    return image


def watermark(*, width: int, height: int) -> Image.Image:
    """The mark that ModelArk puts at the bottom right, on an otherwise clear picture."""
    image = _clear(width, height)
    font = ImageFont.load_default(size=max(12, min(width, height) * 0.03))
    margin = round(min(width, height) * MARGIN_SHARE * 0.6)
    ImageDraw.Draw(image).text(
        (width - margin, height - margin),
        WATERMARK_TEXT,
        (255, 255, 255, 235),
        font,
        anchor="rs",
        stroke_width=2,
        stroke_fill=(0, 0, 0, 150),
    )
    return image


def strip(pictures: Sequence[Image.Image], *, width: int, height: int) -> Image.Image:
    """Square thumbnails side by side at the top left of an otherwise clear picture."""
    image = _clear(width, height)
    draw = ImageDraw.Draw(image)
    margin = round(min(width, height) * MARGIN_SHARE)
    gap = margin // 2
    side = min(round(min(width, height) * 0.24), (width - 2 * margin) // len(pictures) - gap)
    for index, picture in enumerate(pictures):
        left = margin + index * (side + gap)
        draw.rectangle((left - 3, margin - 3, left + side + 2, margin + side + 2), fill=(255, 255, 255, 230))
        image.paste(ImageOps.fit(picture, (side, side)), (left, margin))
    return image


def _clear(width: int, height: int) -> Image.Image:
    return Image.new("RGBA", (width, height))


def _drawable(text: str) -> str:
    shown = text if len(text) <= TEXT_LENGTH_MAX else f"{text[:TEXT_LENGTH_MAX]}…"
    decomposed = unicodedata.normalize("NFKD", shown.translate(SUBSTITUTES))
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def _fit(text: str, *, width: int, height: int) -> tuple[Font, list[str], int]:
    across, lines_max = width * CAPTION_WIDTH_SHARE, 1
    for share in FONT_HEIGHT_SHARES:
        size = max(12.0, min(width, height) * share)
        font, line_height = ImageFont.load_default(size=size), round(size * LINE_SPACING)
        lines_max = max(1, int(height * CAPTION_HEIGHT_SHARE / line_height))
        lines = _wrap(text, font, across=across)
        if len(lines) <= lines_max:
            return font, lines, line_height
    return font, [*lines[: lines_max - 1], f"{lines[lines_max - 1][:-1]}…"], line_height


def _wrap(text: str, font: Font, *, across: float) -> list[str]:
    lines = [""]
    for word in text.split():
        rest = word
        while rest:
            candidate = f"{lines[-1]} {rest}".lstrip()
            if font.getlength(candidate) <= across:
                lines[-1], rest = candidate, ""
            else:
                count = _fitting_count(rest, font, across=across)
                lines.append(rest[:count])
                rest = rest[count:]
    return [line for line in lines if line]


def _fitting_count(word: str, font: Font, *, across: float) -> int:
    """How many letters of the word fit on a line of its own, and at least one."""
    counts = range(1, len(word) + 1)
    return max(1, bisect_right(counts, across, key=lambda count: font.getlength(word[:count])))
