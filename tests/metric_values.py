"""What the metrics of this process say."""

from collections.abc import Mapping

from services.common.telemetry.metrics import REGISTRY


def value(sample: str, **labels: str) -> float:
    """Returns the value of a sample, such as `reelgate_duty_seconds_count`. It must be exported."""
    found = REGISTRY.get_sample_value(sample, labels)
    assert found is not None, f"{sample}{labels} is not exported"
    return found


def values(sample: str) -> Mapping[tuple[str, ...], float]:
    """Returns the values of a sample by those of its labels, in the order of their names."""
    return {
        tuple(labels for _, labels in sorted(each.labels.items())): each.value
        for family in REGISTRY.collect()
        for each in family.samples
        if each.name == sample
    }
