"""What docs/operate.md has an operator write and run makes a whole installation."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.checks.objects import named, objects_of, pods, production, secret_keys, settings_of
from deploy.k8s.render import FOLDER, render
from tests.unit.deploy import page
from tests.unit.deploy.test_operate_page import MADE_BY_OTHERS

EXAMPLE, TRACING, MCP, RESTORE = page.blocks("yaml")
ISSUED = (
    "ARK_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "BACKUP_ACCESS_KEY_ID",
    "BACKUP_SECRET_ACCESS_KEY",
)  # fmt: skip
KUBECTL = '#!/bin/sh\nprintf "%s\\n" "$*" >> "$CALLS"\n'
"""Keeps what it is called with, and finds nothing in the cluster."""


def installation(
    folder: Path, *, patches: str = "", more: str = "", generators: str = ""
) -> tuple[dict[str, Any], ...]:
    written = yaml.safe_load(EXAMPLE) | (yaml.safe_load(more) or {})
    for kind in ("resources", "components"):
        given = (path.removeprefix("../reelgate/") for path in written.get(kind, ()))
        written[kind] = [os.path.relpath(page.ROOT / path, folder) for path in given]
    written["patches"] += yaml.safe_load(patches) if patches else []
    written["configMapGenerator"] += yaml.safe_load(generators)["configMapGenerator"] if generators else []
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(written), encoding="utf-8")
    return tuple(found for found in yaml.safe_load_all(render(folder)) if found)


def test_the_example_replaces_everything_that_is_only_an_example(tmp_path: Path) -> None:
    objects = installation(tmp_path)
    left = re.findall(r"\S*(?:example\.com|s3://reelgate|letsencrypt)\S*", yaml.safe_dump_all(objects))

    assert left == []
    assert settings_of(objects, "jobs-worker")["JOBS_MEDIA_STORE_URL"] == "s3://acme-videos"
    assert len(objects) == len(production())


def test_the_component_for_traces_tells_every_process_where_the_collector_is(tmp_path: Path) -> None:
    objects = installation(tmp_path, more=TRACING)
    traced = named(objects, "NetworkPolicy")["tracing"]["spec"]["podSelector"]["matchExpressions"][0][
        "values"
    ]

    assert set(traced) == set(named(objects, "Deployment")) - {"operator"}
    for workload in traced:
        endpoints = [
            value for name, value in settings_of(objects, workload).items() if name.endswith("_OTLP_ENDPOINT")
        ]
        assert endpoints == ["http://otel-collector.monitoring.svc:4317"]


def test_a_catalogue_of_its_own_is_mounted_where_both_processes_of_jobs_read_it(tmp_path: Path) -> None:
    text = (page.ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")
    more = re.findall(r"```yaml\n(configMapGenerator.*?)```", text, re.DOTALL)[0]
    (tmp_path / "catalogue.yaml").write_text("of its own", encoding="utf-8")

    objects = installation(tmp_path, generators=more)

    assert named(objects, "ConfigMap")["catalogue"]["data"] == {"catalogue.yaml": "of its own"}
    for workload in ("jobs-api", "jobs-worker"):
        pod = pods(objects)[workload]
        [volume] = [each["name"] for each in pod["volumes"] if "configMap" in each]
        [mount] = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == volume]
        path = f"{mount['mountPath']}/catalogue.yaml"
        assert settings_of(objects, workload)["JOBS_CATALOGUE_FILE"] == path
        assert "subPath" not in mount, "a file that is mounted alone never changes"


def test_a_restored_cluster_starts_from_the_backups_and_archives_elsewhere(tmp_path: Path) -> None:
    cluster = named(installation(tmp_path, patches=RESTORE), "Cluster")["postgres"]["spec"]

    before = cluster["externalClusters"][0]
    assert cluster["bootstrap"]["recovery"]["source"] == before["name"]
    assert before["plugin"]["parameters"] == {
        "barmanObjectName": "postgres-backups",
        "serverName": "postgres",
    }
    assert cluster["plugins"][0]["parameters"] == {
        "barmanObjectName": "postgres-backups",
        "serverName": "postgres-2",
    }
    assert cluster["instances"] == 3


@pytest.fixture
def created(tmp_path: Path) -> dict[str, set[str]]:
    """Runs the script, and returns the keys of each Secret that it creates."""
    (tmp_path / "kubectl").write_text(KUBECTL, encoding="utf-8")
    (tmp_path / "kubectl").chmod(0o755)
    environment = dict.fromkeys(ISSUED, "issued") | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
    }
    subprocess.run(["bash", FOLDER / "secrets.sh"], check=True, env=environment)
    calls = (tmp_path / "calls").read_text(encoding="utf-8")
    found = re.findall(r"create secret generic (\S+) (.*)", calls)
    return {name: set(re.findall(r"--from-literal=([\w-]+)=\S", rest)) for name, rest in found}


def test_the_script_makes_every_secret_that_is_read(created: dict[str, set[str]]) -> None:
    objects = production()
    read = {(secret, key) for secret, key in secret_keys(objects) if secret not in MADE_BY_OTHERS}
    roles = {
        (role["passwordSecret"]["name"], key)
        for role in named(objects, "Cluster")["postgres"]["spec"]["managed"]["roles"]
        for key in ("username", "password")
    }
    bucket = named(objects, "ObjectStore")["postgres-backups"]["spec"]["configuration"]["s3Credentials"]
    backups = {(source["name"], source["key"]) for source in bucket.values()}
    made = {(secret, key) for secret, keys in created.items() for key in keys}

    assert read | roles | backups <= made
    assert {secret for secret, _ in made - read - roles - backups} == {"media-store"}


def test_the_page_says_what_the_script_asks_for() -> None:
    block = next(block for block in page.blocks("sh") if "secrets.sh" in block)

    assert set(re.findall(r"\b([A-Z_]+)=…", block)) == set(ISSUED)


def test_the_script_does_nothing_where_secrets_are(tmp_path: Path) -> None:
    (tmp_path / "kubectl").write_text('#!/bin/sh\n[ "$3" = get ] && echo secret/jobs || exit 9\n')
    (tmp_path / "kubectl").chmod(0o755)
    environment = dict.fromkeys(ISSUED, "issued") | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    ended = subprocess.run(
        ["bash", FOLDER / "secrets.sh"], env=environment, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert "There are Secrets already" in ended.stderr


def test_production_keeps_the_port_that_prometheus_reads_at_the_edge() -> None:
    for overlay in ("dev", "production"):
        objects = objects_of(FOLDER / "overlays" / overlay)
        ports = {port["name"] for port in pods(objects)["edge"]["containers"][0]["ports"]}
        has_setting = "EDGE_METRICS_ADDRESS" in settings_of(objects, "edge")
        assert "metrics" in ports or not has_setting, overlay
