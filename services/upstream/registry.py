"""The kinds of providers that can be spoken to."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.upstream.kind import Kind
from services.upstream.providers.ark import adapter as ark
from services.upstream.providers.fal import adapter as fal
from services.upstream.providers.minimax import adapter as minimax
from services.upstream.providers.openai_videos import adapter as openai_videos
from services.upstream.providers.openrouter import adapter as openrouter
from services.upstream.providers.reelgate import adapter as reelgate
from services.upstream.providers.replicate import adapter as replicate
from services.upstream.providers.runway import adapter as runway
from services.upstream.providers.veo import adapter as veo

KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            ark.KIND,
            fal.KIND,
            replicate.KIND,
            openai_videos.KIND,
            openrouter.KIND,
            runway.KIND,
            minimax.KIND,
            veo.KIND,
            reelgate.KIND,
        )
    }
)
"""By name. A new adapter is added here and nowhere else."""

CALLBACK_HEADERS: Final = frozenset[str]().union(*(kind.callback_headers for kind in KINDS.values()))
"""Of all that a callback carries, what some provider proves it with."""
