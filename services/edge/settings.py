import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from services.common.settings import ON_LOOPBACK, Settings
from services.common.site import MANIFEST, shipped_site

PREFIX: Final = "EDGE_"
DESCRIPTOR: Final = Path(str(resources.files("reelgate") / "descriptors.binpb"))


def _checked_address(text: str) -> str:
    host, separator, port = text.rpartition(":")
    if not (host and separator and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"expected host:port, got {text!r}")
    return text


def _none_if_empty(value: Any) -> Any:
    return value or None


def _site(folder: Path | None) -> Path | None:
    if folder == Path("shipped"):
        return shipped_site()
    if folder is not None and not (folder / MANIFEST).is_file():
        raise ValueError(f"{folder} has no {MANIFEST}: build it with `make site`")
    return folder


def _origin(text: str) -> str:
    if not re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?", text):
        raise ValueError(f"expected an exact origin such as https://app.example.com, got {text!r}")
    return text


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


Address = Annotated[str, AfterValidator(_checked_address)]
OptionalAddress = Annotated[Address | None, BeforeValidator(_none_if_empty)]
OptionalPath = Annotated[Path | None, BeforeValidator(_none_if_empty)]
Targets = Annotated[tuple[Address, ...], BeforeValidator(_split), Field(min_length=1)]
SiteFolder = Annotated[Path | None, BeforeValidator(_none_if_empty), AfterValidator(_site)]
Origins = Annotated[
    tuple[Annotated[str, AfterValidator(_origin)], ...],
    BeforeValidator(lambda value: _split(value) if value else ()),
    Field(max_length=100),
]
OptionalTargets = Annotated[
    tuple[Address, ...], BeforeValidator(lambda value: _split(value) if value else ())
]


class EdgeSettings(Settings):
    """How the edge runs. Addresses are `host:port`."""

    listen_address: Address = "0.0.0.0:8080"
    """Where customers and providers send JSON: over TLS if there is a certificate, otherwise over plain HTTP."""
    tls_certificate_file: OptionalPath = None
    """Certificate chain in PEM. It is read again when a file in its folder is replaced, by renaming a new one over it
    or by the symbolic link that Kubernetes switches. None or empty: a proxy in front of the edge does TLS."""
    tls_key_file: Annotated[OptionalPath, Field(validate_default=True)] = None
    """Private key of the certificate in PEM, in the same folder."""
    grpc_address: OptionalAddress = None
    """Where customers call native gRPC, over TLS: public services only. None or empty: nowhere."""
    trusted_hops: Annotated[int, Field(ge=0, le=10)] = 0
    """How many proxies in front of the edge each add the address they see to `X-Forwarded-For`. A client's address is
    the one that the first of them adds; with 0 it is the connection's, whatever the header says. If the number is too
    high, clients can choose their address. Connections then belong to the proxies, and are not limited by address."""
    proxy_protocol: bool = False
    """Whether a balancer announces the client of each connection in PROXY protocol, version 1 or 2. The edge closes
    connections that do not begin with it; only the balancer may reach the edge then."""
    admin_address: Annotated[Address, ON_LOOPBACK] = "127.0.0.1:9901"
    """Envoy's own pages, without any protection: on loopback only."""
    metrics_address: OptionalAddress = None
    """Where Prometheus reads `/metrics`, over plaintext HTTP: what dashboards use of Envoy's own metrics, and none of its
    other pages. None or empty: nowhere."""
    jobs_targets: Targets = ("jobs:7001",)
    """Public ports of jobs, one per process: Envoy balances over endpoints, not over a shared port."""
    billing_targets: Targets = ("billing:7001",)
    """Public ports of billing, one per process."""
    webhooks_targets: Targets = ("webhooks:7001",)
    """Public ports of webhooks, one per process."""
    descriptor: Path = DESCRIPTOR
    """The descriptor set of the protos."""
    media_targets: OptionalTargets = ()
    """Web servers of the media files below `media_path`. None or empty: media is served elsewhere."""
    media_path: Annotated[str, Field(pattern=r"^(/[a-z0-9-]+)+$")] = "/media"
    """Where media is served."""
    mcp_targets: OptionalTargets = ()
    """Processes that speak MCP, at `/mcp`. None or empty: nobody does, and `/mcp` is 404."""
    site_dir: SiteFolder = None
    """Folder of the pages, as `make site` builds it: `/`, `/docs`, `/openapi`, `/errors` and `/llms.txt`. `shipped`: the one
    that came with this installation, if there is one. None or empty: no pages. Files are read when the edge starts."""
    cors_origins: Origins = ()
    """Origins whose pages may call the API from a browser, exactly as browsers send them: `https://app.example.com`, with
    the port if it has one. Who has a key in a page gives it away: see the guide about browsers. None: no page may."""
    concurrency: Annotated[int, Field(ge=1, le=256)] = 1
    """Worker threads of Envoy."""
    calls_per_second_per_address: Annotated[int, Field(ge=0, le=1_000_000)] = 2_000
    """Requests that one client address, or one /64 of IPv6, may send, with a key or without; 0 is no limit. Behind a
    balancer set `trusted_hops` or `proxy_protocol`, so that clients have different addresses."""
    body_kib_per_second_per_address: Annotated[int, Field(ge=0, le=1_000_000)] = 512
    """JSON bodies that one address, or one /64 of IPv6, may send, in KiB; 0 is no limit. One body of 256 KiB passes
    after a pause, whatever the number is. A body that is made to be expensive takes the edge 0.1 ms for each KiB."""
    large_body_kib_per_second: Annotated[int, Field(ge=0, le=1_000_000)] = 128
    """Bodies over 64 KiB that all addresses together may send, in KiB; 0 is no limit. Smaller bodies are not counted,
    so large ones never cause usual requests to be refused."""
    creations_at_once: Annotated[int, Field(ge=1, le=16_384)] = 400
    """Creations of tasks under way at once, in all `jobs` processes together; more are refused at once, with 503. A process
    works on 100 and lets others wait for half a second at most, so plan with 400 for each. If it is too high, processes
    refuse what is too much themselves, which costs them more."""
    creations_per_second_per_key: Annotated[int, Field(ge=0, le=1_000_000)] = 200
    """Creations of tasks that one key may send, whatever its own limit is; 0 is no limit. More are refused with 503 before
    they cost a service anything, so that a key that floods leaves the others their way."""
    quiet_creations_per_second_per_key: Annotated[int, Field(ge=0, le=1_000_000)] = 10
    """Creations of tasks of one key that do not count towards `creations_at_once`, so that a customer who sends few is not refused
    because others send many; 0 is none. Of all keys together there are half as many each second as `creations_at_once` says."""
    connections_max: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    """Connections at once; more are refused."""
    connections_per_address: Annotated[int, Field(ge=0, le=1_000_000)] = 1_000
    """How many of them one address, or one /64 of IPv6, may hold in each worker thread; more are closed at once. 0 is
    no limit."""
    idle_seconds: Annotated[int, Field(ge=1, le=3600)] = 15
    """How long a connection may stay without a request, before the first one and between two."""
    heap_mib: Annotated[int, Field(ge=64, le=1_048_576)] = 1_024
    """Memory in MiB. Above 80 % of it idle connections end sooner, at 95 % requests and at 98 % connections are
    refused."""
    access_log: bool = True
    """Whether every request is written to standard output, as one line of JSON."""
    otlp_endpoint: Annotated[str, Field(pattern=r"^(http://[^\s:/@?#]+:\d{1,5})?$")] = ""
    """Where the edge sends its spans, in OTLP over gRPC: `http://host:port` of a collector on its own network. Empty: no
    call is traced, in no service."""
    traced_percent: Annotated[float, Field(ge=0, le=100)] = 1.0
    """How many of the requests are traced, in per cent, chosen by chance: each with all that is done for it later."""
    notice_seconds: Annotated[float, Field(ge=0, le=600)] = 0.0
    """How long a draining edge waits before it counts open requests, so that balancers notice."""

    @field_validator("tls_key_file")
    @classmethod
    def _key_beside_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        certificate: Path | None = info.data.get("tls_certificate_file")
        if (key is None) != (certificate is None):
            raise ValueError("set EDGE_TLS_CERTIFICATE_FILE and EDGE_TLS_KEY_FILE both, or neither")
        if key is not None and certificate is not None and key.parent != certificate.parent:
            raise ValueError("must be in the folder of EDGE_TLS_CERTIFICATE_FILE, which is watched")
        return key

    @field_validator("grpc_address")
    @classmethod
    def _grpc_over_tls(cls, address: str | None, info: ValidationInfo) -> str | None:
        if address is not None and info.data.get("tls_certificate_file") is None:
            raise ValueError(
                "gRPC is served over TLS only: set EDGE_TLS_CERTIFICATE_FILE and EDGE_TLS_KEY_FILE"
            )
        return address
