"""Why a result could not be kept. No message holds the provider's address; `detail` is for operators only."""


class MediaError(Exception):
    """A result could not be kept."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class MediaUnavailableError(MediaError):
    """The network, the provider's file host or our own store failed: the same link may work later."""


class MediaGoneError(MediaError):
    """The link does not work and will not: ask the provider for another one."""


class MediaRejectedError(MediaError):
    """What came is not a video that may be kept, and will not become one."""
