"""Settings come from the environment, once, at start. All problems are reported together."""

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
)

from services.common.auth.key_forms import KeyForms
from services.common.tls.identities import OPERATORS, Identities


class Settings(BaseModel):
    """Base of all settings: immutable, and unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


Address = Annotated[str, StringConstraints(pattern=r"^[^\s:]+:\d{1,5}$")]
"""`host:port`. To listen on port 0 takes a free one."""


OtlpEndpoint = Annotated[str, StringConstraints(pattern=r"^(https?://[^\s:/@?#]+:\d{1,5})?$")]
"""`http://host:port` or `https://host:port`, or empty."""


Target = Annotated[str, StringConstraints(pattern=r"^(dns://[^\s/]+/)?[^\s:/]+:\d{1,5}$")]
"""Another service, as `services.common.rpc.client.open_channel` takes it."""


SECRET_LENGTH_MIN = 32


def _secrets(text: object) -> object:
    return tuple(text.split(",")) if isinstance(text, str) else text


KeySecrets = Annotated[
    tuple[Annotated[SecretStr, Field(min_length=SECRET_LENGTH_MIN)], ...],
    BeforeValidator(_secrets),
    Field(min_length=1),
]


class DatabaseSettings(Settings):
    """What it takes to bring a service's database to the newest version."""

    database_url: str
    """`postgresql://…`, the service's own database. Several hosts, `host1:5432,host2:5432`, are tried in their order for
    the one that takes writes."""
    migration_database_url: str = ""
    """The same database, connected as the owner of its tables, only for `migrate`. The role of `database_url` then
    cannot change or delete entries of the ledger and the audit. Empty: one role does both, and can."""


class ServiceSettings(DatabaseSettings):
    """What every process of every service needs to know."""

    admin_address: Address = "127.0.0.1:7201"
    """Where operators' methods are served."""
    health_address: Address = "127.0.0.1:7301"
    """Where health probes are answered, and nothing else."""
    metrics_address: Address = "127.0.0.1:7401"
    """Where Prometheus reads `/metrics`, over plaintext HTTP. It tells how much goes on, and nothing about whom."""
    key_checksum_secrets: KeySecrets
    """Secrets that sign API keys, so that refusing a forged key costs almost nothing. The same in every service, at
    least 32 characters. To change one, put the new one in front, separated by a comma, and keep the old one as long as
    keys that it signed are in use."""
    tls_folder: Path | None = None
    """Folder with `tls.crt`, `tls.key` and `ca.crt`: the process shows the certificate to other services and operators,
    and checks theirs. It reads the files again when they change. Required, unless `plaintext_internal` waives it."""
    plaintext_internal: bool = False
    """Waives TLS between services and with operators, to try something on one machine. Every process that reaches an
    internal or admin port can then call it, so these ports must listen on loopback."""
    operator_identities: Identities = (OPERATORS,)
    """Who may call operators' methods: comma-separated SPIFFE identities of certificates; `/*` at the end
    means everything below."""
    reflection: bool = False
    """Whether gRPC reflection is served."""
    otlp_endpoint: OtlpEndpoint = ""
    """Where the spans of traced calls and jobs are sent, in OTLP over gRPC: `http://host:port` of a collector, or
    `https://host:port` for TLS. Empty: none are made."""
    log_format: Literal["text", "json"] = "text"
    """How log lines are written to standard error: for people, or as one object of JSON each."""
    notice_seconds: float = Field(default=0.0, ge=0, le=60)
    """How long to keep serving after reporting NOT_SERVING, so that balancers notice."""
    connections_max: int = Field(default=20, ge=2, le=200)
    """The most database connections for each role of this process."""

    @property
    def key_forms(self) -> KeyForms:
        """Distinguishes our keys from forged ones."""
        return KeyForms([secret.get_secret_value() for secret in self.key_checksum_secrets])


def is_loopback(address: str) -> bool:
    """Returns whether only this machine reaches `host:port`."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _on_loopback(address: str) -> str:
    if not is_loopback(address):
        raise ValueError("must be on loopback, because anyone who reaches it has full control")
    return address


ON_LOOPBACK = AfterValidator(_on_loopback)
"""Refuses an address that other machines can reach."""


AnySettings = TypeVar("AnySettings", bound=Settings)


class SettingsError(Exception):
    """The environment is not valid. The message has one line for each problem: `NAME: what is wrong`."""


def load_settings(kind: type[AnySettings], *, prefix: str, environment: Mapping[str, str]) -> AnySettings:
    """Reads every variable that begins with `prefix` into `kind`.

    `PREFIX_NAME_FILE` names a file that holds the value of `PREFIX_NAME`, for secrets.
    Raises SettingsError, which lists every problem, unknown names included.
    """
    problems: list[str] = []
    values: dict[str, str] = {}
    for variable, value in environment.items():
        if not variable.startswith(prefix):
            continue
        name = variable.removeprefix(prefix).lower()
        if name.endswith("_file") and name not in kind.model_fields:
            name = name.removesuffix("_file")
            try:
                values[name] = Path(value).read_text(encoding="utf-8").strip()
            except OSError as error:
                problems.append(f"{variable}: cannot read {value}: {error.strerror}")
        else:
            values[name] = value
    try:
        settings = kind.model_validate(values)
    except ValidationError as error:
        problems += [f"{prefix}{_path(entry['loc'])}: {_reason(entry)}" for entry in error.errors()]
        raise SettingsError("\n".join(sorted(problems))) from None
    if problems:
        raise SettingsError("\n".join(sorted(problems)))
    return settings


def load_database_settings(*, prefix: str, environment: Mapping[str, str]) -> DatabaseSettings:
    """Reads what migrations need, and nothing else: they run without the service's other settings and secrets.

    Raises SettingsError.
    """
    named = {f"{prefix}{name.upper()}" for name in DatabaseSettings.model_fields}
    own = {name: value for name, value in environment.items() if name.removesuffix("_FILE") in named}
    return load_settings(DatabaseSettings, prefix=prefix, environment=own)


def _path(location: tuple[int | str, ...]) -> str:
    return "_".join(str(part) for part in location).upper()


def _reason(entry: Mapping[str, object]) -> str:
    if entry["type"] == "extra_forbidden":
        return "unknown setting"
    if entry["type"] == "missing":
        return "required"
    return str(entry["msg"])
