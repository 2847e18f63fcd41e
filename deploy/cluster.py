"""Has a real Kubernetes API server judge every overlay, strictly: `python -m deploy.cluster`.

KUBEBUILDER_ASSETS names a folder with `etcd` and `kube-apiserver`, as tools for controllers expect them. Without it nothing is
checked, and this is said. KUBEBUILDER_CRDS may name a folder with the definitions of cert-manager, CloudNativePG, KEDA and the
Prometheus operator; objects whose kinds the server does not know are left out, and this is said.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from deploy.checks.objects import Objects, objects_of
from deploy.k8s.render import FOLDER, KUBECTL, OVERLAYS

PROGRAMS = ("etcd", "kube-apiserver")
START_SECONDS_MAX = 120.0
_TOKEN = "local"  # noqa: S105  of a server on loopback, for as long as the check takes
_ADMINISTRATOR = f'{_TOKEN},admin,admin,"system:masters"\n'


def main() -> int:
    """Returns the exit code: 0 if the server takes every object, or if there is no server."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets or not all((Path(assets) / program).exists() for program in PROGRAMS):
        sys.stdout.write(f"Skipped: KUBEBUILDER_ASSETS names no folder with {' and '.join(PROGRAMS)}.\n")
        return 0
    with TemporaryDirectory() as folder, _server(Path(assets), Path(folder)) as kubectl:
        crds = os.environ.get("KUBEBUILDER_CRDS")
        if crds:
            _run([*kubectl, "apply", "--server-side", "-f", crds])
            _run([*kubectl, "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])
        _run([*kubectl, "create", "namespace", "reelgate"])
        refused = [overlay for overlay in OVERLAYS if not _taken(kubectl, overlay)]
    return 1 if refused else 0


def _taken(kubectl: list[str], overlay: str) -> bool:
    known = set(_run([*kubectl, "api-resources", "--no-headers", "-o", "wide"]).split())
    objects: Objects = objects_of(FOLDER / "overlays" / overlay)
    sent = [found for found in objects if found["kind"] in known]
    left_out = sorted({found["kind"] for found in objects if found["kind"] not in known})
    applied = subprocess.run(  # noqa: S603  kubectl of the wheel
        [*kubectl, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"],
        input=yaml.safe_dump_all(sent),
        text=True,
        capture_output=True,
        check=False,
    )
    without = f" Left out, because the server does not know them: {', '.join(left_out)}." if left_out else ""
    if applied.returncode == 0:
        sys.stdout.write(f"{overlay}: the server takes {len(sent)} objects.{without}\n")
    else:
        sys.stdout.write(f"{overlay}: refused.{without}\n{applied.stderr}")
    return applied.returncode == 0


@contextmanager
def _server(assets: Path, folder: Path) -> Iterator[list[str]]:
    """Runs etcd and an API server on loopback until the block ends. Yields the words that call it."""
    store, peers, port = _free_ports(3)
    _write_keys(folder)
    etcd = [
        f"--data-dir={folder}/etcd", "--unsafe-no-fsync",
        f"--listen-client-urls=http://127.0.0.1:{store}", f"--advertise-client-urls=http://127.0.0.1:{store}",
        f"--listen-peer-urls=http://127.0.0.1:{peers}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peers}",
        f"--initial-cluster=default=http://127.0.0.1:{peers}",
    ]  # fmt: skip
    apiserver = [
        f"--etcd-servers=http://127.0.0.1:{store}", f"--secure-port={port}", "--bind-address=127.0.0.1",
        f"--cert-dir={folder}/certificates", f"--token-auth-file={folder}/tokens.csv", "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={folder}/accounts.key", f"--service-account-key-file={folder}/accounts.pub",
        "--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none",
    ]  # fmt: skip
    kubectl = [
        str(KUBECTL), f"--server=https://127.0.0.1:{port}", f"--token={_TOKEN}", "--insecure-skip-tls-verify",
        f"--cache-dir={folder}/cache",
    ]  # fmt: skip
    with ExitStack() as stack:
        stack.enter_context(_running([str(assets / "etcd"), *etcd], folder / "etcd.log"))
        stack.enter_context(_running([str(assets / "kube-apiserver"), *apiserver], folder / "apiserver.log"))
        _wait_until_ready(kubectl, folder / "apiserver.log")
        yield kubectl


@contextmanager
def _running(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        started = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603  of KUBEBUILDER_ASSETS
        try:
            yield
        finally:
            started.kill()
            started.wait()


def _wait_until_ready(kubectl: list[str], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while subprocess.run([*kubectl, "get", "--raw=/readyz"], capture_output=True, check=False).returncode:  # noqa: S603
        if time.monotonic() > deadline:
            sys.exit(f"The API server does not answer. The end of what it says:\n{log.read_text()[-2000:]}")
        time.sleep(0.5)


def _write_keys(folder: Path) -> None:
    key = generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "accounts.key").write_bytes(private)
    (folder / "accounts.pub").write_bytes(public)
    (folder / "tokens.csv").write_text(_ADMINISTRATOR, encoding="utf-8")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def _run(command: list[str]) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  kubectl of the wheel
    if ended.returncode:
        sys.exit(f"{' '.join(command[-4:])}: {ended.stderr}")
    return ended.stdout


if __name__ == "__main__":
    sys.exit(main())
