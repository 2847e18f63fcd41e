"""Rules on settings: every process starts with what its objects give it."""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.fernet import Fernet

from deploy.checks.objects import Found, Objects, named, pods, ports_of, selected, settings_of
from deploy.k8s.render import FOLDER
from docs.reference import KINDS
from services.common.settings import Settings, SettingsError, is_loopback, load_settings
from services.common.tls.identities import BILLING, JOBS, OPERATORS, WEBHOOKS, covers

_TARGET = re.compile(r"(?<![\w.])([a-z][a-z0-9-]*):(\d{1,5})(?!\d)")
_MADE_BY_SCRIPT = re.compile(r"--from-literal=([\w-]+)=")
_WITH_TLS = {"tls.crt", "tls.key", "ca.crt"}
_IDENTITIES = {"billing": BILLING, "jobs": JOBS, "webhooks": WEBHOOKS}
_SECRETS = {
    "database-url": "postgresql://reelgate:secret@postgres-rw:5432/reelgate",
    "migration-database-url": "postgresql://owner:secret@postgres-rw:5432/reelgate",
    "secret-key": Fernet.generate_key().decode(),
}
"""Values in place of those that only the cluster knows, where any text would not do."""
_ANY_SECRET = "a secret of forty characters that is enough"  # noqa: S105


def settings_load(objects: Objects) -> Iterator[str]:
    """The settings of each process are those that its code knows, all that it requires, and valid."""
    for workload, prefix in _processes(objects):
        try:
            _loaded(objects, workload, prefix)
        except SettingsError as error:
            yield from (f"{workload}: {problem}" for problem in str(error).splitlines())


def files_of_settings_are_mounted(objects: Objects) -> Iterator[str]:
    """A setting that names a file names a key of the Secret or ConfigMap that is mounted there."""
    for workload in pods(objects):
        mounted, from_maps = _mounted(objects, workload), _files_of_maps(objects, workload)
        for setting, path in settings_of(objects, workload).items():
            if not path.startswith("/run/") or path in from_maps:
                continue
            folder, _, key = path.rpartition("/")
            if path in mounted:
                folder, key = path, ""
            if folder not in mounted:
                yield f"{workload}: {setting} is {path}, where nothing is mounted"
            elif key and key not in _keys(objects, mounted[folder]):
                yield f"{workload}: {setting} is {path}, and the Secret {mounted[folder]} has no key {key}"


def targets_are_services(objects: Objects) -> Iterator[str]:
    """A setting that names a Service names one of its ports."""
    services = named(objects, "Service")
    for workload in pods(objects):
        for setting, value in settings_of(objects, workload).items():
            for name, port in _TARGET.findall(value):
                if setting.endswith(("_TARGET", "_TARGETS")) and name not in services:
                    yield f"{workload}: {setting} names {name}, which is no Service"
                if name in services and int(port) not in {
                    each["port"] for each in services[name]["spec"]["ports"]
                }:
                    yield f"{workload}: {setting} names port {port}, which the Service {name} does not have"


def listening_ports_are_declared(objects: Objects) -> Iterator[str]:
    """The ports of a container are those that its process listens on."""
    for workload, prefix in _processes(objects):
        try:
            settings = _loaded(objects, workload, prefix)
        except SettingsError:
            continue
        declared = set(ports_of(objects, workload).values())
        for name in type(settings).model_fields:
            address = getattr(settings, name)
            if (
                name.endswith("_address")
                and isinstance(address, str)
                and address
                and not is_loopback(address)
            ):
                declared.discard(int(address.rpartition(":")[2]))
        if prefix != "SIMULATOR_":
            for port in sorted(declared):
                yield f"{workload}: it declares port {port}, where its process does not listen for others; look at its …_ADDRESS settings"


def certificates_show_who_calls(objects: Objects) -> Iterator[str]:
    """Whoever shows a certificate has one for the identity that the others admit, and for the names by which it is called."""
    certificates = {
        found["spec"]["secretName"]: found["spec"] for found in named(objects, "Certificate").values()
    }
    for workload in pods(objects):
        folder = next(
            (value for name, value in settings_of(objects, workload).items() if name in _TLS_SETTINGS), None
        )
        secret = _mounted(objects, workload).get(folder or "")
        if folder is None or secret not in certificates:
            continue
        spec = certificates[secret]
        yield from _identity(workload, secret, spec.get("uris", []))
        if not {"client auth", "server auth"} <= set(spec["usages"]) and workload != "operator":
            yield f"Certificate of {secret}: usages must be client auth and server auth; {workload} does both"
        for name, service in named(objects, "Service").items():
            if workload in selected(
                objects, {"matchLabels": service["spec"]["selector"]}
            ) and name not in spec.get("dnsNames", []):
                yield f"Certificate of {secret}: add {name} to dnsNames; {workload} is called by that name"


_TLS_SETTINGS = {"REELGATE_TLS", *(f"{prefix}TLS_FOLDER" for prefix in KINDS)}


def _identity(workload: str, secret: str, uris: list[str]) -> Iterator[str]:
    wanted = _IDENTITIES.get(workload.partition("-")[0])
    if wanted is None and not any(covers(OPERATORS, uri) for uri in uris):
        yield f"Certificate of {secret}: no URI is covered by {OPERATORS}, the only operators that services admit"
    if wanted is not None and uris != [wanted]:
        yield f"Certificate of {secret}: its URI must be {wanted}, the identity that other services admit"


def _processes(objects: Objects) -> Iterator[tuple[str, str]]:
    """Yields each workload that runs a process of ours, with the prefix of its settings."""
    for workload, pod in pods(objects).items():
        command = pod["containers"][0].get("command", [])
        if command[:2] == ["python", "-m"] and command[2].startswith("services."):
            yield workload, f"{command[2].removeprefix('services.').upper()}_"


def _loaded(objects: Objects, workload: str, prefix: str) -> Settings:
    settings = settings_of(objects, workload)
    if pods(objects)[workload]["containers"][0]["command"][3:] == ["migrate"]:
        # A migration reads the same settings, and of them needs its databases.
        service = prefix.removesuffix("_").lower()
        settings = {**_shared(objects, service), **settings}
    with TemporaryDirectory() as folder:
        here = _on_this_machine(settings, _known(objects, workload), Path(folder))
        return load_settings(KINDS[prefix], prefix=prefix, environment=here)


def _shared(objects: Objects, service: str) -> Mapping[str, str]:
    return next(
        (
            found["data"]
            for name, found in named(objects, "ConfigMap").items()
            if name.partition("-")[0] == service
        ),
        {},
    )


def _on_this_machine(settings: Mapping[str, str], known: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Writes what Secrets hold into `folder`, or would hold, and returns settings that lead there."""
    here = {}
    for setting, value in settings.items():
        here[setting] = value
        if value.startswith("/run/") and setting.endswith("_FILE"):
            path = folder / setting
            key = value.rpartition("/")[2]
            path.write_text(known.get(value, _SECRETS.get(key, _ANY_SECRET)), encoding="utf-8")
            here[setting] = str(path)
    return here


def _known(objects: Objects, workload: str) -> dict[str, str]:
    """Returns what the Secrets among the objects hold, by the path where the workload sees it."""
    secrets = named(objects, "Secret")
    return {
        f"{path}/{key}": b64decode(value).decode()
        for path, names in _mounted(objects, workload).items()
        for name in names.split()
        for key, value in secrets.get(name, {}).get("data", {}).items()
    }


def _mounted(objects: Objects, workload: str) -> dict[str, str]:
    """Returns the Secret at each path where one is mounted; several in one place are joined by a blank."""
    pod = pods(objects)[workload]
    secrets = {}
    for volume in pod.get("volumes", ()):
        if "secret" in volume:
            secrets[volume["name"]] = volume["secret"]["secretName"]
        elif "projected" in volume:
            secrets[volume["name"]] = " ".join(
                each["secret"]["name"] for each in volume["projected"]["sources"]
            )
    mounts = pod["containers"][0].get("volumeMounts", ())
    return {mount["mountPath"]: secrets[mount["name"]] for mount in mounts if mount["name"] in secrets}


def _files_of_maps(objects: Objects, workload: str) -> set[str]:
    """Returns the paths of the files that ConfigMaps are mounted as."""
    pod, maps = pods(objects)[workload], named(objects, "ConfigMap")
    volumes = {
        volume["name"]: maps[volume["configMap"]["name"]]["data"]
        for volume in pod.get("volumes", ())
        if volume.get("configMap", {}).get("name") in maps
    }
    mounts = pod["containers"][0].get("volumeMounts", ())
    return {f"{mount['mountPath']}/{key}" for mount in mounts for key in volumes.get(mount["name"], ())}


def _keys(objects: Objects, secrets: str) -> set[str]:
    keys: set[str] = set()
    for secret in secrets.split():
        found: Found = named(objects, "Secret").get(secret, {})
        keys |= found.get("data", {}).keys() | found.get("stringData", {}).keys()
        if any(each["spec"]["secretName"] == secret for each in named(objects, "Certificate").values()):
            keys |= _WITH_TLS
        if not found:
            keys |= _made_by_script().get(secret, set())
    return keys


def _made_by_script() -> dict[str, set[str]]:
    """Returns the keys of the Secrets that deploy/k8s/secrets.sh creates for services and the simulator."""
    text = (FOLDER / "secrets.sh").read_text(encoding="utf-8").replace("\\\n", " ")
    shared = {"database-url", "key-checksum-secrets"}
    made = {}
    for kind, name, rest in re.findall(r"^(service|secret) ([a-z-]+)(.*)$", text, re.MULTILINE):
        made[name] = set(_MADE_BY_SCRIPT.findall(rest)) | (shared if kind == "service" else set())
        if kind == "service":
            made[f"{name}-migration"] = {"migration-database-url"}
    return made


RULES = (
    settings_load,
    files_of_settings_are_mounted,
    targets_are_services,
    listening_ports_are_declared,
    certificates_show_who_calls,
)
