"""Runs the processes of an overlay as its objects say, without Kubernetes: each pod has a loopback address of its own.

Addresses are found as a cluster finds them: a Service's name and port lead to the pods that its selector means, at the port that
the name of its target has there. Volumes are folders, and paths in settings lead there.
"""

import os
import re
import subprocess
import sys
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from deploy.checks.objects import Found, named, pods
from docs.reference import KINDS
from tests.patience import PATIENCE_SECONDS

TARGET = re.compile(r"(?<![\w.])([a-z][a-z0-9-]*):(\d{1,5})(?!\d)")
OURS = re.compile(rf"^({'|'.join(KINDS)})")
EVERYWHERE = re.compile(r"^(0\.0\.0\.0|127\.0\.0\.1)(?=:|$)")
STOPPED = -15
"""What a process returns that SIGTERM ended."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The objects, and where what they name is on this machine."""

    objects: tuple[Found, ...]
    folder: Path
    elsewhere: Mapping[str, str]
    """`name:port` of Services that something else fulfils, and the address of that."""
    tls: Mapping[str, Path]
    """Folders of the Secrets that cert-manager would make."""
    changed: Mapping[str, str] = field(default_factory=dict)
    """Settings that a test has another value for."""
    processes: dict[str, int] = field(default_factory=dict)
    """The ids of the processes that run, by workload."""

    def address(self, workload: str) -> str:
        """Returns the loopback address of a workload's pod. Each process that runs tests has a range of its own."""
        number = sorted(pods(self.objects)).index(workload) + 1
        return f"127.{1 + os.getpid() // 250 % 250}.{1 + os.getpid() % 250}.{number}"

    def target(self, name: str, port: int) -> str:
        """Returns where a Service's port leads."""
        if f"{name}:{port}" in self.elsewhere:
            return self.elsewhere[f"{name}:{port}"]
        spec = named(self.objects, "Service")[name]["spec"]
        wanted = next(each["targetPort"] for each in spec["ports"] if each["port"] == port)
        [workload] = [
            found["metadata"]["name"]
            for found in self.objects
            if found["kind"] in {"Deployment", "StatefulSet"}
            and spec["selector"].items() <= found["spec"]["template"]["metadata"]["labels"].items()
        ]
        return f"{self.address(workload)}:{self.port(workload, wanted)}"

    def port(self, workload: str, name: str | int) -> int:
        """Returns the number of a port of a workload's process."""
        if isinstance(name, int):
            return name
        ports = pods(self.objects)[workload]["containers"][0]["ports"]
        return int(next(each["containerPort"] for each in ports if each["name"] == name))

    def environment(self, workload: str, container: Found) -> dict[str, str]:
        """Returns the environment of a container, as it is on this machine."""
        maps = named(self.objects, "ConfigMap")
        given: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            given |= maps[source["configMapRef"]["name"]]["data"]
        given |= {entry["name"]: entry["value"] for entry in container.get("env", ())}
        prefixes = tuple({found[1] for name in given if (found := OURS.match(name))})
        given |= {name: value for name, value in self.changed.items() if name.startswith(prefixes)}
        mounts = self._mounts(workload, container)
        here = {name: self._here(value, workload, mounts) for name, value in given.items()}
        return {**_inherited(), **self._listening(workload, given, prefixes), **here}

    def _listening(self, workload: str, given: Mapping[str, str], prefixes: Iterable[str]) -> dict[str, str]:
        """Returns settings that have a default for all processes of a machine: each pod is a machine of its own."""
        return {
            f"{prefix}{name.upper()}": self._here(value.default, workload, {})
            for prefix in prefixes
            for name, value in KINDS[prefix].model_fields.items()
            if name.endswith("_address")
            and isinstance(value.default, str)
            and f"{prefix}{name.upper()}" not in given
        }

    def _here(self, value: str, workload: str, mounts: Mapping[str, Path]) -> str:
        for path, folder in mounts.items():
            if value == path or value.startswith(f"{path}/"):
                return f"{folder}{value.removeprefix(path)}"
        own = EVERYWHERE.sub(self.address(workload), value)
        services = {*named(self.objects, "Service"), *(name.partition(":")[0] for name in self.elsewhere)}
        return TARGET.sub(
            lambda found: self.target(found[1], int(found[2])) if found[1] in services else found[0], own
        )

    def _mounts(self, workload: str, container: Found) -> dict[str, Path]:
        """Returns the folder of each volume by the path where the container sees it."""
        volumes = {volume["name"]: volume for volume in pods(self.objects)[workload].get("volumes", ())}
        paths = {mount["mountPath"]: mount["name"] for mount in container.get("volumeMounts", ())}
        return {
            path: self._volume(workload, volumes.get(name, {"name": name})) for path, name in paths.items()
        }

    def _volume(self, workload: str, volume: Found) -> Path:
        if volume.get("secret", {}).get("secretName") in self.tls:
            return self.tls[volume["secret"]["secretName"]]
        shared = volume.get("persistentVolumeClaim", {}).get("claimName")
        folder = self.folder / (shared or f"{workload}-{volume['name']}")
        folder.mkdir(parents=True, exist_ok=True)
        secrets = named(self.objects, "Secret")
        if "secret" in volume:
            _write(folder, secrets[volume["secret"]["secretName"]], keys=None, here=self)
        for source in volume.get("projected", {}).get("sources", ()):
            keys = {item["key"]: item["path"] for item in source["secret"]["items"]}
            _write(folder, secrets[source["secret"]["name"]], keys=keys, here=self)
        return folder

    def secret_text(self, text: str) -> str:
        """Returns what stands in a Secret, with addresses of this machine."""
        return TARGET.sub(lambda found: self.elsewhere.get(found[0], found[0]), text)

    def command(self, words: Sequence[str]) -> list[str]:
        """Returns the command of a container or hook, for this machine."""
        return [
            sys.executable if word == "python" else word.replace("/tmp/", f"{self.folder}/") for word in words
        ]

    def run(self, workload: str, container: Found) -> int:
        """Runs a container that ends, and returns its exit code."""
        ended = subprocess.run(
            self.command(container["command"]),
            env=self.environment(workload, container),
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        return ended.returncode

    @contextmanager
    def running(self, workload: str) -> Iterator[subprocess.Popen[bytes]]:
        """Runs a workload's process until the block ends, then stops it as a kubelet does: its hook, then SIGTERM."""
        process = pods(self.objects)[workload]["containers"][0]
        environment = self.environment(workload, process)
        with (self.folder / f"{workload}.log").open("wb") as log:
            started = subprocess.Popen(
                self.command(process["command"]), env=environment, stdout=log, stderr=subprocess.STDOUT
            )
            self.processes[workload] = started.pid
            try:
                yield started
                hook = process.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command")
                if hook:
                    subprocess.run(
                        self.command(hook), env=environment, check=True, timeout=PATIENCE_SECONDS, stdout=log
                    )
                started.terminate()
                assert started.wait(PATIENCE_SECONDS) in {0, STOPPED}, self.log(workload)
            finally:
                started.kill()
                started.wait()

    def open_calls(self) -> set[tuple[str, str, int]]:
        """Returns who has a connection to whom at this moment, and to which port, as the objects name them."""
        addresses = {self.address(workload): workload for workload in pods(self.objects)}
        outside = {where: name.split(":") for name, where in self.elsewhere.items()}
        found = set()
        for workload, pid in self.processes.items():
            for connection in psutil.Process(pid).net_connections("tcp"):
                if connection.status != psutil.CONN_ESTABLISHED or not connection.raddr:
                    continue
                host, port = connection.raddr.ip.removeprefix("::ffff:"), connection.raddr.port
                if f"{host}:{port}" in outside:
                    name, number = outside[f"{host}:{port}"]
                    found.add((workload, name, int(number)))
                elif host in addresses:
                    found.add((workload, addresses[host], port))
        return found

    def log(self, workload: str) -> str:
        """Returns what a process has written."""
        return (self.folder / f"{workload}.log").read_text(encoding="utf-8")

    def probe(self, workload: str, name: str) -> str:
        """Returns the address that a probe asks, for services.devstack.readiness."""
        probe: dict[str, Any] = pods(self.objects)[workload]["containers"][0][name]
        [(kind, spec)] = [(kind, probe[kind]) for kind in ("grpc", "httpGet", "tcpSocket") if kind in probe]
        scheme = {"grpc": "grpc", "httpGet": "http", "tcpSocket": "tcp"}[kind]
        host = f"{self.address(workload)}:{self.port(workload, spec['port'])}"
        return f"{scheme}://{host}{spec.get('path', '')}"


def _inherited() -> dict[str, str]:
    """Returns what a process of this machine needs and a container has from its image."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}


def _write(folder: Path, secret: Found, *, keys: Mapping[str, str] | None, here: Cluster) -> None:
    for key, value in secret["data"].items():
        if keys is None or key in keys:
            text = here.secret_text(b64decode(value).decode())
            (folder / (key if keys is None else keys[key])).write_text(text, encoding="utf-8")
