"""Why a result could not be stored. No message contains the provider's address; `detail` is for operators only."""


class MediaError(Exception):
    """A result could not be stored."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class MediaUnavailableError(MediaError):
    """The network, the provider's file host or our own store failed: the same link may work later."""


class MediaGoneError(MediaError):
    """The link does not work and never will: ask the provider for a new one."""


class MediaRejectedError(MediaError):
    """The file is not a video that may be stored. Trying again will not help."""
