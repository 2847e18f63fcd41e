"""The kinds of providers that can be spoken to."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.upstream.kind import Kind
from services.upstream.providers.ark import adapter as ark

KINDS: Final[Mapping[str, Kind]] = MappingProxyType({kind.name: kind for kind in (ark.KIND,)})
"""By name. A new adapter is added here and nowhere else."""
