"""Every process of a running stack tells what it should, in closed sets of labels, and no secret."""

import asyncio
import json
import re
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from docs.metrics import exported
from services.common.telemetry.exposition import FRESH_SECONDS
from services.edge.metrics import METRICS
from tests.e2e.customer import ENDED, SMALL, VIDEOS, open_customer
from tests.e2e.local_stack import Account, Stack
from tests.patience import PATIENCE_SECONDS

SERIES_MAX = 2_000
"""Of one process that does everything its service does."""
UNBOUNDED = re.compile(r"\S*(?:://|@|\b(?:acct|key|vid|job|evt|hold|ref|whe)_|0[0-9a-hjkmnp-tv-z]{25})\S*")
"""Addresses and ids."""
SECRET_LENGTH_MIN = 16
ENDPOINTS = "/v1/webhook_endpoints"
TOLD_WHEN_IT_HAPPENS = {"reelgate_credential_out"}
"""Its labels are names of the catalogue."""
PROMPT = "a very unmistakable lighthouse"


def _scraped(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=PATIENCE_SECONDS) as answer:
        text: str = answer.read().decode()
    return text


def _families(text: str) -> dict[str, Metric]:
    return {
        family.name + ("_total" if family.type == "counter" else ""): family
        for family in text_string_to_metric_families(text)
    }


def _series(text: str) -> set[str]:
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def _secrets(folder: Path, *accounts: Account) -> Iterator[str]:
    """Yields every secret that a stack keeps in a file of its own, and those of accounts."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_size < 4_096 and "media" not in path.parts:
            words = path.read_bytes().decode(errors="ignore").split()
            yield from (word for word in words if len(word) >= SECRET_LENGTH_MIN and "/" not in word[:-1])
    for account in accounts:
        yield from (*account.keys.values(), *account.webhook_secrets.values(), account.account_id)


async def _complete(stack: Stack, account: Account, *, jobs: int) -> list[str]:
    async with open_customer(stack.edge, account.keys["test"]) as customer:
        body = {"model": "mini", "input": {"prompt": PROMPT, **SMALL}, "callback_url": f"{stack.edge}/hook"}
        ids = [(await customer.create(body))["id"] for _ in range(jobs)]
        for job_id in ids:
            await customer.until(job_id, ENDED, seconds=PATIENCE_SECONDS)
        await customer.send("GET", f"{VIDEOS}/vid_nowhere")
        await customer.send("GET", ENDPOINTS)
    return ids


@pytest.fixture(scope="module")
def accounts(stack: Stack) -> list[Account]:
    return [stack.create_account() for _ in range(2)]


async def test_the_metrics_of_a_stack_are_complete_closed_and_without_secrets(
    stack: Stack, accounts: list[Account]
) -> None:
    addresses: Mapping[str, str] = stack.status()["metrics"]
    ids = await _complete(stack, accounts[0], jobs=1)
    before = {name: _scraped(address) for name, address in addresses.items()}
    ids += await _complete(stack, accounts[1], jobs=3)
    after = {name: _scraped(address) for name, address in addresses.items()}

    envoy = after.pop("edge")
    assert {family.name.removesuffix("_total") for family in text_string_to_metric_families(envoy)} <= {
        metric.name.removesuffix("_total") for metric in METRICS
    }
    assert UNBOUNDED.findall(" ".join(_series(envoy))) == []
    for name, text in after.items():
        families = _families(text)
        for metric, defined in exported().items():
            if any(name in {process, process.partition("-")[0]} for process in defined.processes):
                _assert_told(families, metric, defined.labels, kind=defined.kind)
        undefined = {family for family in families if family.startswith("reelgate_")} - exported().keys()
        assert undefined == set()
        # Other accounts, keys and jobs, and the same series. A service may have called another method meanwhile.
        new = {series for series in _series(text) - _series(before[name]) if "client_rpc" not in series}
        assert new == set()
        assert len(_series(text)) < SERIES_MAX
        assert UNBOUNDED.findall(" ".join(_series(text))) == []
        for secret in {*_secrets(stack.folder, *accounts), *ids, PROMPT}:
            assert secret not in text, f"{name} tells {secret[:4]}…"


def _assert_told(families: Mapping[str, Metric], metric: str, labels: tuple[str, ...], *, kind: str) -> None:
    assert metric in families, metric
    assert families[metric].type == kind
    samples = families[metric].samples
    if metric in TOLD_WHEN_IT_HAPPENS and not samples:
        return
    assert samples, f"{metric} has no sample"
    assert {name for each in samples for name in each.labels} - {"le"} == set(labels), metric


async def test_what_a_customer_did_is_what_the_metrics_say(stack: Stack, accounts: list[Account]) -> None:
    addresses: Mapping[str, str] = stack.status()["metrics"]
    await _complete(stack, accounts[0], jobs=1)
    # Until then a scrape may be answered with the page of the one before.
    await asyncio.sleep(FRESH_SECONDS)
    jobs, billing = (_values(_scraped(addresses[name])) for name in ("jobs-api", "billing"))

    created = jobs['reelgate_rpc_total{code="OK",method="VideoService/CreateVideo"}']
    refused = jobs['reelgate_rpc_total{code="NOT_FOUND",method="VideoService/GetVideo"}']
    await _complete(stack, accounts[0], jobs=2)
    await asyncio.sleep(FRESH_SECONDS)
    after, paid = (_values(_scraped(addresses[name])) for name in ("jobs-api", "billing"))

    assert after['reelgate_rpc_total{code="OK",method="VideoService/CreateVideo"}'] == created + 2
    assert after['reelgate_rpc_total{code="NOT_FOUND",method="VideoService/GetVideo"}'] == refused + 1
    held = 'reelgate_credits_total{environment="test",movement="held"}'
    assert paid[held] > billing[held]
    assert paid["reelgate_ledger_drift_credits"] == 0


def _values(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            labels = ",".join(f"{name}={json.dumps(value)}" for name, value in sorted(each.labels.items()))
            found[f"{each.name}{{{labels}}}" if labels else each.name] = each.value
    return found
