"""Writes what Prometheus and Grafana read: the rules, once more as an object for the operator, and the dashboards."""

import json
from pathlib import Path
from typing import Any

import yaml

from deploy.observability.pages import DASHBOARDS
from deploy.observability.rules import groups

ROOT = Path(__file__).parents[2]
RULES = Path("deploy/observability/rules.yaml")
OBJECT = Path("deploy/k8s/components/prometheus-operator/rules.yaml")
PAGES = Path("deploy/observability/dashboards")
HEAD = "# Rendered by `make gen` from deploy/observability/rules.py. Do not edit it.\n"


def rendered() -> dict[Path, str]:
    """Returns the text of every file, by its path in the repository."""
    rules = groups()
    wrapped = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "reelgate"},
        "spec": rules,
    }
    pages = {
        PAGES / f"{page.name}.json": json.dumps(page.json(), indent=2, ensure_ascii=False) + "\n"
        for page in DASHBOARDS
    }
    return {RULES: _yaml(rules), OBJECT: _yaml(wrapped)} | pages


def write(root: Path) -> None:
    """Writes every file below `root`."""
    for path, text in rendered().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def _yaml(content: Any) -> str:
    return HEAD + yaml.safe_dump(content, sort_keys=False, width=10_000, allow_unicode=True)


if __name__ == "__main__":
    write(ROOT)
