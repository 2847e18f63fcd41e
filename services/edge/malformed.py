"""Requests that Envoy cannot or will not read, and what the customer is told to change."""

from typing import Final

from services.edge.extension import Config, named

Malformed = tuple[str, int, str, str]
"""What Envoy calls it, and the status, the code and the message it is refused with."""
NO_ENDPOINT: Final = "There is no such endpoint. Check the method and the path."
PATH_ALONE: Final = "Request only the path, such as /v1/models, without a scheme and a host."
BAD_PATH: Final = (
    "The path must begin with / and hold printable ASCII without #. Percent-encode everything else."
)
UNREAD: Final[tuple[Malformed, ...]] = (
    (
        "http1.invalid_transfer_encoding",
        415,
        "invalid_request",
        "Send JSON, uncompressed. The only transfer coding accepted is chunked.",
    ),
    ("http1.https_url_on_plaintext_connection", 400, "invalid_request", PATH_ALONE),
    ("http1.invalid_scheme", 400, "invalid_request", PATH_ALONE),
    ("http1.invalid_url", 400, "invalid_request", BAD_PATH),
    (
        "http.invalid_authority",
        400,
        "invalid_request",
        "The Host header must be a host, optionally with a port.",
    ),
    (
        "http1.content_length_and_chunked_not_allowed",
        400,
        "invalid_request",
        "Send either Content-Length or Transfer-Encoding, not both.",
    ),
    (
        "http1.invalid_characters",
        400,
        "invalid_request",
        "A header holds a character that HTTP does not allow.",
    ),
    # A CONNECT that announces a body.
    ("http1.body_disallowed", 404, "not_found", NO_ENDPOINT),
)
"""What is refused before its headers are known, so that nothing tells whose contract it would have been."""
MALFORMED: Final[tuple[Malformed, ...]] = (
    ("upgrade_failed", 404, "not_found", NO_ENDPOINT),
    ("query_missing_content_type", 404, "not_found", NO_ENDPOINT),
    ("absolute_path_rejected", 400, "invalid_request", BAD_PATH),
    ("path_normalization_failed", 400, "invalid_request", BAD_PATH),
    ("missing_host_header", 400, "invalid_request", "The Host header is missing."),
    (
        "http1.codec_error",
        400,
        "invalid_request",
        "This is not HTTP. Check the request line, the headers, and how the length of the body is given.",
    ),
)
"""The rest."""


def called(refused: Malformed) -> Config:
    """Returns the filter of local replies for what Envoy calls so."""
    return {
        "extension_filter": named(
            "envoy.access_loggers.extension_filters.cel",
            "extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            expression=f"response.code_details == '{refused[0]}'",
        )
    }
