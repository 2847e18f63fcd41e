"""TLS as gRPC takes it. Both sides show a certificate of an authority that the other trusts."""

from typing import Any, cast

import grpc

from services.common.tls.files import TlsFiles, TlsFolder


def server_credentials(folder: TlsFolder) -> grpc.ServerCredentials:
    """Returns credentials that ask every caller for a certificate, and take changed files at the next handshake."""
    changes = Changes(folder)
    return cast(
        "grpc.ServerCredentials",
        cast("Any", grpc).dynamic_ssl_server_credentials(
            _configuration(changes.files), changes.configuration, require_client_authentication=True
        ),
    )


class Changes:
    """What gRPC asks for at every handshake.

    It gets a configuration only if there is a new one. gRPC frees the previous one without waiting for handshakes that
    another of its threads is beginning with it, which has killed a process that was given a new one each time.
    """

    def __init__(self, folder: TlsFolder) -> None:
        self._folder = folder
        self.files = folder.read()

    def configuration(self) -> Any | None:
        """Returns the configuration of files that have changed since they were last read, if they have."""
        files = self._folder.read()
        if files == self.files:
            return None
        self.files = files
        return _configuration(files)


def channel_credentials(files: TlsFiles) -> grpc.ChannelCredentials:
    """Returns credentials of one channel, for as long as it lives."""
    return grpc.ssl_channel_credentials(
        root_certificates=files.authorities, private_key=files.key, certificate_chain=files.certificate
    )


def _configuration(files: TlsFiles) -> Any:
    return cast("Any", grpc).ssl_server_certificate_configuration(
        [(files.key, files.certificate)], root_certificates=files.authorities
    )
