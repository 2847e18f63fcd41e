from collections.abc import Mapping
from typing import Any, Final

# ModelArk documentation 1299023.
TYPE_BY_STATUS: Final = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    429: "TooManyRequests",
    500: "InternalServerError",
}


class ApiError(Exception):
    """An answer other than success, in ModelArk's envelope."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        parameter: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.parameter = parameter
        self.headers = dict(headers or {})

    def envelope(self, request_id: str) -> dict[str, Any]:
        """The JSON body."""
        return {
            "error": {
                "code": self.code,
                "message": with_request_id(self.message, request_id),
                "param": self.parameter,
                "type": TYPE_BY_STATUS.get(self.status, "BadRequest"),
            }
        }


def with_request_id(message: str, request_id: str) -> str:
    """A message as ModelArk ends it."""
    return f"{message} Request id: {request_id}"


def invalid(parameter: str, message: str) -> ApiError:
    """A refusal of one parameter."""
    return ApiError(400, "InvalidParameter", message, parameter=parameter)


def missing(parameter: str) -> ApiError:
    """A refusal because a parameter is not there."""
    message = f"the request is missing the required parameter `{parameter}`."
    return ApiError(400, "MissingParameter", message, parameter=parameter)


def internal_error() -> ApiError:
    """The error of a service that has failed."""
    return ApiError(500, "InternalServiceError", "The service encountered an unexpected internal error.")
