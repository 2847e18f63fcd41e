from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from services.common.settings import ON_LOOPBACK, Settings

PREFIX: Final = "EDGE_"
DESCRIPTOR: Final = Path(__file__).parents[2] / "gen" / "reelgate.binpb"


def _checked_address(text: str) -> str:
    host, separator, port = text.rpartition(":")
    if not (host and separator and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"expected host:port, got {text!r}")
    return text


def _none_if_empty(value: Any) -> Any:
    return value or None


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


Address = Annotated[str, AfterValidator(_checked_address)]
OptionalAddress = Annotated[Address | None, BeforeValidator(_none_if_empty)]
OptionalPath = Annotated[Path | None, BeforeValidator(_none_if_empty)]
Targets = Annotated[tuple[Address, ...], BeforeValidator(_split), Field(min_length=1)]
OptionalTargets = Annotated[
    tuple[Address, ...], BeforeValidator(lambda value: _split(value) if value else ())
]


class EdgeSettings(Settings):
    """How the edge runs. Addresses are `host:port`."""

    listen_address: Address = "0.0.0.0:8080"
    """Where customers and providers are served JSON: over TLS if there is a certificate, as plain HTTP if not."""
    tls_certificate_file: OptionalPath = None
    """Certificate chain in PEM. It is read again when a file in its folder is replaced, by renaming a new one over it
    or by the link that Kubernetes turns. None or empty: what stands in front of the edge speaks TLS."""
    tls_key_file: Annotated[OptionalPath, Field(validate_default=True)] = None
    """Private key of the certificate in PEM, in the same folder."""
    grpc_address: OptionalAddress = None
    """Where customers are served native gRPC, over TLS: public services only. None or empty: nowhere."""
    trusted_hops: Annotated[int, Field(ge=0, le=10)] = 0
    """How many proxies in front of the edge each add the address they see to `X-Forwarded-For`. A client's address is the
    one that the first of them adds; with 0 it is the connection's, whatever the header says. More than there
    are lets clients choose their address. Connections are then the proxies', and not limited by address."""
    proxy_protocol: bool = False
    """Whether a balancer says in PROXY protocol, version 1 or 2, whose each connection is. Connections that do not begin
    with it are closed, so only the balancer may reach the edge then."""
    admin_address: Annotated[Address, ON_LOOPBACK] = "127.0.0.1:9901"
    """Envoy's own pages, without any protection: on loopback only."""
    jobs_targets: Targets = ("jobs:7001",)
    """Public ports of jobs, one per process: Envoy balances over endpoints, not over a shared port."""
    billing_targets: Targets = ("billing:7001",)
    """Public ports of billing, likewise."""
    webhooks_targets: Targets = ("webhooks:7001",)
    """Public ports of webhooks, likewise."""
    descriptor: Path = DESCRIPTOR
    """The descriptor set of the protos."""
    media_targets: OptionalTargets = ()
    """Ports of what serves media files, for `media_path`. None or empty: media is served elsewhere."""
    media_path: Annotated[str, Field(pattern=r"^(/[a-z0-9-]+)+$")] = "/media"
    """Where media is served."""
    concurrency: Annotated[int, Field(ge=1, le=256)] = 1
    """Worker threads of Envoy."""
    calls_per_second_per_address: Annotated[int, Field(ge=0, le=1_000_000)] = 2_000
    """What one client address, or one /64 of IPv6, may send, with a key or without; 0 does not limit. Behind a
    balancer, `trusted_hops` or `proxy_protocol` tells addresses apart."""
    body_kib_per_second_per_address: Annotated[int, Field(ge=0, le=1_000_000)] = 512
    """What one address, or one /64 of IPv6, may send as bodies of JSON, in KiB; 0 does not limit. One body of 256 KiB
    passes after a pause, whatever the number is. A body that is made to cost as much as it can takes the edge
    0.1 ms for each KiB."""
    large_body_kib_per_second: Annotated[int, Field(ge=0, le=1_000_000)] = 128
    """What all addresses together may send of bodies over 64 KiB, in KiB; likewise. Smaller ones are not counted, so
    nobody's usual requests are refused for them."""
    connections_max: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    """What may be connected at once; more is refused."""
    connections_per_address: Annotated[int, Field(ge=0, le=1_000_000)] = 1_000
    """What one address, or one /64 of IPv6, may hold of them in each worker thread; more is closed at once. 0 does not
    limit."""
    idle_seconds: Annotated[int, Field(ge=1, le=3600)] = 15
    """How long a connection may stay without a request, before the first as between two."""
    heap_mib: Annotated[int, Field(ge=64, le=1_048_576)] = 1_024
    """Memory in MiB. From 80 % of it idle connections end sooner, at 95 % requests and at 98 % connections are
    refused."""
    access_log: bool = True
    """Whether every request is written to standard output, as one line of JSON."""
    notice_seconds: Annotated[float, Field(ge=0, le=600)] = 0.0
    """How long a draining edge goes on before it counts requests, so that balancers notice."""

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
