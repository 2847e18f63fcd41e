"""The processes of the overlay `dev`, started as its objects say, render a video for a customer and stop cleanly."""

import asyncio
import io
import json
import re
import subprocess
import time
from base64 import b64decode
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import psycopg
import pytest
from PIL import Image

from deploy.checks.calls import INTERNET, calls
from deploy.checks.objects import named, objects_of, pods
from deploy.k8s.render import FOLDER
from services.devstack.readiness import answers
from tests.conftest import cluster
from tests.e2e.customer import ENDED, SMALL, data_of, open_customer
from tests.integration.deploy.authority import Authority
from tests.integration.deploy.pods import Cluster
from tests.patience import PATIENCE_SECONDS

OBJECTS = objects_of(FOLDER / "overlays" / "dev")
BACKED_BY = {"billing": "billing", "jobs": "jobs-api", "webhooks": "webhooks-api"}
"""The pods behind each Service that shows a certificate."""


@pytest.fixture(scope="module")
def databases(postgres_port: int) -> Iterator[int]:
    """The databases and roles that PostgreSQL makes at its first start, in the cluster of the tests."""
    script = next(
        found["data"]["databases.sql"]
        for found in OBJECTS
        if found["kind"] == "ConfigMap" and "databases.sql" in found["data"]
    )
    statements = [line for line in script.splitlines() if line]
    with psycopg.connect(cluster(postgres_port).url(), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
        yield postgres_port
        for kind in ("DATABASE", "ROLE"):
            for name in (line.split()[2] for line in statements if line.startswith(f"CREATE {kind}")):
                connection.execute(f"DROP {kind} {name}{' WITH (FORCE)' * (kind == 'DATABASE')}".encode())


@pytest.fixture(scope="module")
def installed(databases: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Everything that the overlay starts, migrated and ready."""
    folder = tmp_path_factory.mktemp("dev")
    changed = {"SIMULATOR_MODE": "instant"}
    tls: dict[str, Path] = {}
    there = Cluster(
        objects=OBJECTS,
        folder=folder,
        elsewhere={"postgres:5432": f"127.0.0.1:{databases}"},
        tls=tls,
        changed=changed,
    )
    authority = Authority()
    for name, wanted in named(OBJECTS, "Certificate").items():
        if "uris" in wanted["spec"]:
            addresses = [there.address(BACKED_BY[name])] if name in BACKED_BY else []
            secret = wanted["spec"]["secretName"]
            tls[secret] = authority.issue(wanted, folder / f"certificate-{name}", addresses=addresses)
    for name, pod in pods(OBJECTS, "Job").items():
        assert there.run(name, pod["containers"][0]) == 0, name
    with ExitStack() as stack:
        started = {}
        running: list[ExitStack] = []
        stack.callback(_stop_all, running)
        for name, pod in pods(OBJECTS, "Deployment", "StatefulSet").items():
            if name not in {"operator", "postgres"}:
                for container in pod.get("initContainers", ()):
                    assert there.run(name, container) == 0, name
                running.append(ExitStack())
                started[name] = running[-1].enter_context(there.running(name))
        asyncio.run(_until_ready(there, started))
        yield there


def _stop_all(running: Sequence[ExitStack]) -> None:
    with ThreadPoolExecutor(max_workers=32) as at_once:
        list(at_once.map(ExitStack.close, running))


async def _until_ready(there: Cluster, started: dict[str, "subprocess.Popen[bytes]"]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    for name, process in started.items():
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            while probe in pods(OBJECTS)[name]["containers"][0] and not await answers(
                there.probe(name, probe)
            ):
                assert process.poll() is None, there.log(name)
                assert time.monotonic() < deadline, f"{name}: {probe}: {there.log(name)}"
                await asyncio.sleep(0.1)


def _as_operator(there: Cluster, *words: str) -> dict[str, dict[str, str]]:
    process = pods(OBJECTS)["operator"]["containers"][0]
    environment = there.environment("operator", process) | {"LOGNAME": "tests"}
    command = there.command(["python", "-m", "services.cli", *words, "--json"])
    ended = subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    answer: dict[str, dict[str, str]] = json.loads(ended.stdout)
    return answer


async def test_an_operator_opens_an_account_and_its_customer_gets_a_video(installed: Cluster) -> None:
    account = await asyncio.to_thread(
        _as_operator, installed, "account", "create", "trial", "--credits", "100"
    )
    edge = f"http://{installed.target('edge', 80)}"
    for environment in ("test", "live"):
        async with open_customer(edge, account["keys"][environment]) as customer:
            created = await customer.create({"model": "mini", "input": {"prompt": "a lighthouse", **SMALL}})
            answer = await customer.until(created["id"], ENDED, seconds=PATIENCE_SECONDS)
        assert data_of(answer)["status"] == "completed", installed.log("jobs-worker")
    video = urlsplit(data_of(answer)["output"]["video_url"])

    # As somebody sees it who forwards the port of the edge, as docs/operate.md says.
    assert video.netloc == "localhost:8080"
    async with aiohttp.ClientSession() as session, session.get(f"{edge}{video.path}") as response:
        assert response.status == 200
        assert (await response.read())[4:8] == b"ftyp"


async def test_a_customer_sends_a_file_of_their_own_and_names_it(installed: Cluster) -> None:
    account = await asyncio.to_thread(
        _as_operator, installed, "account", "create", "uploads", "--credits", "100"
    )
    edge = f"http://{installed.target('edge', 80)}"
    with io.BytesIO() as file:
        Image.new("RGB", (640, 640), "red").save(file, "PNG")
        picture = file.getvalue()
    async with open_customer(edge, account["keys"]["live"]) as customer:
        announced = data_of(await customer.send("POST", "/v1/uploads", {"content_type": "image/png"}))
        put = urlsplit(announced["put"]["url"])
        sent = await customer.send(
            "PUT", f"{put.path}?{put.query}", raw=picture, headers=announced["put"]["headers"]
        )
        wanted = {"prompt": "a lighthouse", "image_urls": [announced["url"]], **SMALL}
        created = await customer.create({"model": "mini", "input": wanted})
        answer = await customer.until(created["id"], ENDED, seconds=PATIENCE_SECONDS)

    assert put.netloc == "localhost:8080"
    assert sent.status == 201, sent.body
    assert data_of(answer)["status"] == "completed", installed.log("jobs-worker")


async def test_the_processes_make_the_calls_that_policies_allow_and_no_other(installed: Cluster) -> None:
    """One that is not listed would be denied, and one that is listed and never made would be allowed to an intruder."""
    account = await asyncio.to_thread(
        _as_operator, installed, "account", "create", "calls", "--credits", "100"
    )
    edge = f"http://{installed.target('edge', 80)}"
    async with open_customer(edge, account["keys"]["test"]) as customer:
        created = await customer.create({"model": "mini", "input": {"prompt": "a harbour", **SMALL}})
        await customer.until(created["id"], ENDED, seconds=PATIENCE_SECONDS)
        await customer.get("/v1/webhook_endpoints")
        await customer.get("/v1/balance")
        # Rendering and a download are over soon; connections between processes stay.
        made = installed.open_calls()
    listed = {call for call in calls(OBJECTS) if call[0] in installed.processes and call[1] != INTERNET}

    assert made <= listed
    assert {call for call in listed if "simulator" not in call} <= made


@pytest.mark.parametrize("workload", ["billing", "jobs-worker", "webhooks-api"])
def test_a_check_inside_a_pod_finds_nothing(installed: Cluster, workload: str) -> None:
    process = pods(OBJECTS)[workload]["containers"][0]
    *program, _ = process["command"]

    assert installed.run(workload, process | {"command": [*program, "check"]}) == 0


async def test_prometheus_reads_every_process_at_the_port_of_its_name(installed: Cluster) -> None:
    read = await _scrape(installed)

    assert set(read) >= {"jobs-api", "jobs-worker", "billing", "webhooks-api", "webhooks-dispatcher"}
    assert [name for name, text in read.items() if "# TYPE " not in text] == []


async def test_what_keda_scales_by_is_told(installed: Cluster) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    # A process reads its queues every few seconds.
    while missing := _missing("\n".join((await _scrape(installed)).values())):
        assert time.monotonic() < deadline, missing
        await asyncio.sleep(0.2)


async def _scrape(installed: Cluster) -> dict[str, str]:
    read = {}
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        for name, pod in pods(OBJECTS, "Deployment").items():
            ports = [port["name"] for port in pod["containers"][0].get("ports", ())]
            if "metrics" in ports:
                address = f"{installed.address(name)}:{installed.port(name, 'metrics')}"
                async with session.get(f"http://{address}/metrics") as response:
                    read[name] = await response.text()
    return read


def _missing(text: str) -> list[str]:
    return [series for series in _that_scale() if series not in text]


def _that_scale() -> list[str]:
    """Returns the series by whose value KEDA scales, as processes write them: Prometheus adds the namespace."""
    scaled = named(objects_of(FOLDER / "overlays" / "production"), "ScaledObject")
    queries = [
        trigger["metadata"]["query"] for each in scaled.values() for trigger in each["spec"]["triggers"]
    ]
    assert len(queries) == 2
    return [re.sub(r'^max\((\w+){namespace="reelgate", (.*)}\)$', r"\1{\2}", query) for query in queries]


def test_its_secrets_say_that_they_are_for_development() -> None:
    texts = {
        b64decode(value).decode()
        for secret in named(OBJECTS, "Secret").values()
        for value in secret["data"].values()
    }

    assert len(texts) > 8
    assert [text for text in texts if "development" not in text and "b25seS1mb3ItZGV2" not in text] == []
