"""How ModelArk, and who took over its form, write the prompt and the files of an order."""

from typing import Any

from services.upstream.provider import Order


def content_items(order: Order, *, prompt: str) -> list[dict[str, Any]]:
    """Returns the prompt, then all files of the order in the order of `Order.references`."""
    media = [
        ("image_url", order.start_image_url, "first_frame"),
        ("image_url", order.end_image_url, "last_frame"),
        *(("image_url", url, "reference_image") for url in order.image_urls),
        *(("video_url", url, "reference_video") for url in order.video_urls),
        *(("audio_url", url, "reference_audio") for url in order.audio_urls),
    ]
    return [
        {"type": "text", "text": prompt},
        *({"type": kind, kind: {"url": url}, "role": role} for kind, url, role in media if url is not None),
    ]
