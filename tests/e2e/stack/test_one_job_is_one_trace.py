"""One job is one trace, from the edge to the webhook, also when its worker is killed; and no signal tells a secret."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psycopg
import pytest
import pytest_asyncio

from services.common.telemetry.tracing import ATTRIBUTES
from services.devstack.folder import StackFolder
from tests.e2e.customer import SMALL, VIDEOS, Customer, open_customer
from tests.e2e.local_stack import Account, Stack, running_stack
from tests.e2e.receiver import Receiver
from tests.patience import PATIENCE_SECONDS
from tests.spans import Collector, ReceivedSpan, collecting

pytestmark = pytest.mark.asyncio(loop_scope="session")

TASK_SECONDS = "5"
PROMPT = "A lighthouse nobody may read of"
QUERY = "signature=OfAnAddressThatIsSigned"
METADATA = "MetadataOfOneCustomer"
FORGED_KEY = "rg_live_AKeyThatSomebodyMadeUp"
SERVICES = ("edge", "jobs-api", "jobs-worker", "billing", "webhooks")


@dataclass(frozen=True, kw_only=True)
class Told:
    """A job that was created, whose worker was killed, and that ended; and everything that was told meanwhile."""

    job_id: str
    request_id: str
    spans: Sequence[ReceivedSpan]
    """All spans of the trace of its creation."""
    span_count_before: int
    """How many of them there were when the worker was killed."""
    collector: Collector
    logs: dict[str, str]
    metrics: dict[str, str]
    secrets: dict[str, str]

    def one(self, service: str, name: str, *, below: ReceivedSpan | None = None) -> ReceivedSpan:
        """Returns the first span of this name at a service."""
        found = [
            span
            for span in self.spans
            if (span.service, span.name) == (service, name)
            and (below is None or span.parent_id == below.span_id)
        ]
        assert found, (
            f"no {name} of {service} among {sorted((each.service, each.name) for each in self.spans)}"
        )
        return found[0]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as listening:
        yield listening


@pytest.fixture(scope="module")
def traced_stack(collector: Collector) -> Iterator[Stack]:
    instant = ("--simulator-mode", "instant", "--simulator-latency", TASK_SECONDS)
    with running_stack(
        *instant, "--otlp-endpoint", f"http://{collector.address}", "--log-format", "json"
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def told(traced_stack: Stack, collector: Collector) -> AsyncIterator[Told]:
    account = traced_stack.create_account()
    async with (
        Receiver().listening() as receiver,
        open_customer(traced_stack.edge, account.keys["live"]) as customer,
    ):
        order = {
            "model": "mini",
            "input": {"prompt": PROMPT, **SMALL},
            "callback_url": f"{receiver.hook('told')}?{QUERY}",
            "metadata": {"note": METADATA},
        }
        await be_refused(customer)
        answer = await customer.send("POST", VIDEOS, order)
        assert answer.status == 200, answer.body
        job_id, request_id = answer.json["data"]["id"], answer.headers["x-request-id"]
        token = callback_token(traced_stack, job_id)
        await until(lambda: "step submit" in names(collector, job_id), collector)
        before = len(collector.trace(trace_of(collector, job_id)))
        [pid] = [each["pid"] for each in traced_stack.status()["processes"] if each["name"] == "jobs-worker"]
        os.kill(pid, signal.SIGKILL)
        await receiver.first("told", seconds=PATIENCE_SECONDS)
        await until(lambda: "webhook attempt" in names(collector, job_id), collector)
        await until(lambda: "relay events" in names(collector, job_id), collector)
        traced_stack.until_ready()
        yield Told(
            job_id=job_id,
            request_id=request_id,
            spans=collector.trace(trace_of(collector, job_id)),
            span_count_before=before,
            collector=collector,
            logs=logs_of(traced_stack),
            metrics=await metrics_of(traced_stack),
            secrets=secrets_of(account, token, StackFolder(traced_stack.folder)),
        )


async def be_refused(customer: Customer) -> None:
    """Sends the same secrets where they do not belong."""
    wrong = {"model": "mini", "input": {"prompt": PROMPT, "duration": METADATA}}
    for answer in (
        await customer.send("POST", VIDEOS, wrong),
        await customer.send("POST", VIDEOS, {PROMPT: METADATA}),
        await customer.send("POST", VIDEOS, raw=PROMPT.encode()),
        await customer.send("GET", f"{VIDEOS}?{QUERY}"),
        await customer.send("GET", VIDEOS, headers={"Authorization": f"Bearer {FORGED_KEY}"}),
    ):
        assert answer.status in {400, 401, 415}, answer


async def until(is_so: Callable[[], bool], collector: Collector) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, [(span.service, span.name) for span in collector.spans]
        await asyncio.sleep(0.1)


def trace_of(collector: Collector, job_id: str) -> str:
    found = {span.trace_id for span in collector.spans if span.attributes.get(ATTRIBUTES["job"]) == job_id}
    assert len(found) == 1, f"one job, {len(found)} traces"
    return found.pop()


def names(collector: Collector, job_id: str) -> set[str]:
    return {span.name for span in collector.spans if span.attributes.get(ATTRIBUTES["job"]) == job_id}


def callback_token(stack: Stack, job_id: str) -> str:
    """Returns what the address of the job's callbacks ends in, apart from its signature."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with psycopg.connect(stack.status()["database"]["jobs"], autocommit=True) as connection:
        while time.monotonic() < deadline:
            found = connection.execute("SELECT token FROM attempts WHERE job_id = %s", (job_id,)).fetchone()
            if found is not None:
                return str(found[0])
            time.sleep(0.05)
    raise AssertionError("the job was never submitted")


def logs_of(stack: Stack) -> dict[str, str]:
    return {file.stem: file.read_text() for file in Path(stack.folder, "logs").glob("*.log")}


async def metrics_of(stack: Stack) -> dict[str, str]:
    found = {}
    async with aiohttp.ClientSession() as client:
        for name, address in stack.status()["metrics"].items():
            async with client.get(f"http://{address}/metrics") as answer:
                found[name] = await answer.text()
    return found


def secrets_of(account: Account, token: str, folder: StackFolder) -> dict[str, str]:
    [webhook_secret, *_] = account.webhook_secrets.values()
    return {
        "prompt": PROMPT,
        "signed address": QUERY,
        "metadata": METADATA,
        "API key": account.keys["live"],
        "callback token": token,
        "webhook secret": webhook_secret,
        "body of a webhook": '{"data":{',
        "forged key": FORGED_KEY,
        "key of the provider": folder.simulator_api_key.read_text().strip(),
        "password of a database": folder.read_password("jobs"),
    }


async def test_the_trace_begins_at_the_edge_and_leads_to_the_ledger(told: Told) -> None:
    received = told.one("edge", f"POST {VIDEOS}")
    assert {span.service for span in told.spans} >= {
        "edge",
        "jobs-api",
        "jobs-worker",
        "billing-all",
        "webhooks-all",
    }
    [root] = [span for span in told.spans if not span.parent_id]
    called = told.one("edge", f"POST {VIDEOS}", below=root)
    created = told.one("jobs-api", "VideoService/CreateVideo", below=called)
    asked = told.one("jobs-api", "LedgerService/CreateHold", below=created)
    told.one("billing-all", "LedgerService/CreateHold", below=asked)
    assert received.service == "edge"
    assert created.attributes[ATTRIBUTES["request"]] == told.request_id


async def test_steps_providers_media_and_webhooks_belong_to_the_same_trace(told: Told) -> None:
    created = told.one("jobs-api", "VideoService/CreateVideo")
    submitted = told.one("jobs-worker", "step submit", below=created)
    told.one("jobs-worker", "provider POST", below=submitted)
    kept = told.one("jobs-worker", "keep media")
    checked = next(span for span in told.spans if span.span_id == kept.parent_id)
    assert (checked.name, checked.parent_id) == ("step check", created.span_id)
    told.one("jobs-worker", "provider GET", below=checked)
    completed = told.one("jobs-worker", "step complete", below=created)
    captured = told.one("jobs-worker", "LedgerService/CaptureHold", below=completed)
    told.one("billing-all", "LedgerService/CaptureHold", below=captured)
    relayed = told.one("jobs-worker", "relay events", below=created)
    handed = told.one("jobs-worker", "IntakeService/AcceptEvents", below=relayed)
    accepted = told.one("webhooks-all", "IntakeService/AcceptEvents", below=handed)
    attempted = told.one("webhooks-all", "webhook attempt", below=accepted)
    assert attempted.attributes[ATTRIBUTES["status"]] == 204


async def test_the_trace_went_on_after_its_worker_was_killed(told: Told) -> None:
    later = told.spans[told.span_count_before :]
    assert {"keep media", "step complete", "webhook attempt"} <= {span.name for span in later}


async def test_no_signal_tells_a_secret(told: Told) -> None:
    signals = {
        "spans": b"".join(told.collector.messages).decode(errors="replace"),
        **{f"log of {name}": text for name, text in told.logs.items()},
        **{f"metrics of {name}": text for name, text in told.metrics.items()},
    }

    # The process for assistants is there too, and says nothing until one connects.
    expected = {"log of " + name for name in SERVICES} | {"metrics of " + name for name in SERVICES[1:]}
    assert [name for name in sorted(expected | {"spans"}) if not signals.get(name)] == []
    leaks = [
        (signal, name)
        for signal, text in signals.items()
        for name, secret in told.secrets.items()
        if secret in text
    ]
    assert leaks == []


async def test_a_line_of_a_call_names_trace_request_and_account(told: Told) -> None:
    lines = [json.loads(line) for line in told.logs["jobs-api"].splitlines() if '"reelgate.call"' in line]

    [line] = [line for line in lines if line["request_id"] == told.request_id]
    assert line["method"] == "/reelgate.video.v1.VideoService/CreateVideo"
    assert line["code"] == "OK"
    assert line["duration_ms"] > 0
    assert line["trace_id"] == told.spans[0].trace_id
    assert line["account"].startswith("acct_")


async def test_every_line_of_a_service_is_one_object_of_json(told: Told) -> None:
    for name in SERVICES[1:]:
        for line in told.logs[name].splitlines():
            assert {"time", "level", "logger"} <= json.loads(line).keys()
