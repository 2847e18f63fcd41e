"""The kinds of providers that can be spoken to."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.upstream.kind import Kind
from services.upstream.providers.ark import adapter as ark
from services.upstream.providers.fal import adapter as fal
from services.upstream.providers.replicate import adapter as replicate

KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {kind.name: kind for kind in (ark.KIND, fal.KIND, replicate.KIND)}
)
"""By name. A new adapter is added here and nowhere else."""
