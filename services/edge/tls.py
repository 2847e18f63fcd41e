"""TLS with a certificate from files, which are read again when they change."""

import json
from pathlib import Path
from typing import Final

from services.edge.extension import Config, typed
from services.edge.settings import EdgeSettings

SECRET_FILE: Final = Path("/etc/envoy/tls.yaml")
"""Where a printed configuration looks for `secret_text`. `run` puts it beside the configuration."""
RESOURCE: Final = "edge"
HANDSHAKE_SECONDS: Final = 10


def secured(
    chain: Config, settings: EdgeSettings, secret_file: Path, *, protocols: tuple[str, ...]
) -> Config:
    """Returns a filter chain that speaks TLS if there is a certificate; it offers these protocols by ALPN."""
    if settings.tls_certificate_file is None:
        return chain
    secret = {"name": RESOURCE, "sds_config": {"path_config_source": {"path": str(secret_file)}}}
    context = typed(
        "extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={
            "alpn_protocols": list(protocols),
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "tls_certificate_sds_secret_configs": [secret],
        },
    )
    return {
        **chain,
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
        "transport_socket_connect_timeout": f"{HANDSHAKE_SECONDS}s",
    }


def secret_text(settings: EdgeSettings) -> str:
    """Returns the file that tells Envoy where the certificate and its key are, and to watch their folder."""
    certificate, key = settings.tls_certificate_file, settings.tls_key_file
    assert certificate is not None
    assert key is not None
    secret = typed(
        "extensions.transport_sockets.tls.v3.Secret",
        name=RESOURCE,
        tls_certificate={
            "certificate_chain": {"filename": str(certificate)},
            "private_key": {"filename": str(key)},
            "watched_directory": {"path": str(certificate.parent)},
        },
    )
    return json.dumps({"resources": [secret]}, indent=2) + "\n"
