"""How prompts name references: customers write `Image 1`, `Video 2`, `Audio 3`, and providers have their own forms."""

import re
from collections.abc import Callable

from services.upstream.provider import Order

_TOKEN = re.compile(r"(?<![\w@\[])(Image|Video|Audio) ?([1-9]\d?)(?!\w)")


def with_tokens(order: Order, written: Callable[[str], str]) -> str:
    """Returns the prompt with each reference that the order has as the provider writes it; `written` gets `Image1`.

    What names no reference of the order is the customer's own text.
    """
    counts = {
        "Image": len(order.image_urls),
        "Video": len(order.video_urls),
        "Audio": len(order.audio_urls),
    }

    def replaced(token: re.Match[str]) -> str:
        is_of_order = int(token[2]) <= counts[token[1]]
        return written(token[1] + token[2]) if is_of_order else token[0]

    return _TOKEN.sub(replaced, order.prompt)
