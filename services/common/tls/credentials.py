"""TLS as gRPC takes it. Both sides show a certificate of an authority that the other trusts."""

from typing import Any, cast

import grpc

from services.common.tls.files import TlsFiles, TlsFolder


def server_credentials(folder: TlsFolder) -> grpc.ServerCredentials:
    """Returns credentials that ask every caller for a certificate, and take changed files at the next handshake."""
    return cast(
        "grpc.ServerCredentials",
        cast("Any", grpc).dynamic_ssl_server_credentials(
            _configuration(folder.read()),
            lambda: _configuration(folder.read()),
            require_client_authentication=True,
        ),
    )


def channel_credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    """Returns credentials of one channel, for as long as it lives."""
    return grpc.ssl_channel_credentials(
        root_certificates=files.authorities, private_key=files.key, certificate_chain=files.certificate
    )


def _configuration(files: TlsFiles) -> Any:
    return cast("Any", grpc).ssl_server_certificate_configuration(
        [(files.key, files.certificate)], root_certificates=files.authorities
    )
