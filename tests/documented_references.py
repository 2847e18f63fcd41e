"""Which references may go together in one request: the documents and the service must both say so."""

from typing import Any

A, B = "https://example.com/a.png", "https://example.com/b.png"
VIDEO, SOUND = "https://example.com/a.mp4", "https://example.com/a.mp3"
FRAMES = {"generation_type": "first_and_last_frames"}
TOGETHER: dict[str, tuple[dict[str, Any], bool]] = {
    "text alone": ({}, True),
    "images": ({"image_urls": [A]}, True),
    "a video": ({"video_url": VIDEO}, True),
    "both kinds of videos": ({"video_url": VIDEO, "video_urls": [VIDEO]}, False),
    "sound alone": ({"audio_urls": [SOUND]}, False),
    "sound beside nothing": ({"audio_urls": [SOUND], "image_urls": []}, False),
    "no sound": ({"audio_urls": []}, True),
    "sound with an image": ({"audio_urls": [SOUND], "image_urls": [A]}, True),
    "sound with a video": ({"audio_urls": [SOUND], "video_url": VIDEO}, True),
    "both frames": ({**FRAMES, "start_image_url": A, "end_image_url": B}, True),
    "one frame": ({**FRAMES, "start_image_url": A}, False),
    "no frame": (FRAMES, False),
    "frames as images": ({**FRAMES, "image_urls": [A, B]}, True),
    "three frames": ({**FRAMES, "image_urls": [A, B, A]}, False),
    "frames twice": ({**FRAMES, "image_urls": [A, B], "start_image_url": A, "end_image_url": B}, False),
    "frames with a video": ({**FRAMES, "image_urls": [A, B], "video_url": VIDEO}, False),
    "frames with sound": ({**FRAMES, "start_image_url": A, "end_image_url": B, "audio_urls": [SOUND]}, False),
    "a frame for references": ({"start_image_url": A, "end_image_url": B}, False),
}
"""Fields of `input` beside the prompt, and whether they are accepted."""
