"""Dashboards as Grafana reads them. Queries have fixed windows, so that a test can parse them as they stand."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

Json = dict[str, Any]
COLUMNS = 24
HEIGHT = 8
SOURCE = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One graph."""

    title: str
    says: str
    """What a reader should conclude from it."""
    lines: Sequence[tuple[str, str]]
    """Queries, each with the name of its lines: labels stand in it as `{{label}}`."""
    unit: str = "short"
    """As Grafana calls it: `s`, `ms`, `reqps`, `percentunit`, `short` …"""
    width: int = 12


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """One page."""

    name: str
    title: str
    panels: Sequence[Panel]

    def json(self) -> Json:
        """Returns the page as it is imported. Who imports it chooses the data source."""
        return {
            "uid": f"reelgate-{self.name}",
            "title": f"Reelgate: {self.title}",
            "tags": ["reelgate"],
            "editable": False,
            "schemaVersion": 39,
            "version": 1,
            "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"},
            "templating": {
                "list": [
                    {"name": "source", "type": "datasource", "query": "prometheus", "label": "Data source"}
                ]
            },
            "panels": _placed(self.panels),
        }


def _placed(panels: Sequence[Panel]) -> list[Json]:
    x = y = 0
    placed = []
    for number, panel in zip(count(1), panels, strict=False):
        if x + panel.width > COLUMNS:
            x, y = 0, y + HEIGHT
        position = {"x": x, "y": y, "w": panel.width, "h": HEIGHT}
        placed.append(_graph(panel, number) | {"gridPos": position})
        x += panel.width
    return placed


def _graph(panel: Panel, number: int) -> Json:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.says,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + index), "expr": expr, "legendFormat": legend, "datasource": SOURCE}
            for index, (expr, legend) in enumerate(panel.lines)
        ],
    }
