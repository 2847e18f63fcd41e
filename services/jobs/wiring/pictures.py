"""Pictures that providers want as bytes."""

import aiohttp

from services.media.errors import MediaUnavailableError
from services.media.load_reference import load_reference
from services.media.reference_rules import ReferenceKind, ReferenceRefusedError
from services.upstream.pictures import Load, Picture, UnusablePictureError
from services.upstream.provider import ReferenceFault

CONNECTIONS_MAX = 64
ACCEPTED = frozenset({"image/jpeg", "image/png"})


def picture_loader(session: aiohttp.ClientSession) -> Load:
    """Returns what fetches pictures from customers' addresses. `session` must lead only where those may point to."""

    async def load(url: str) -> Picture:
        try:
            found = await load_reference(url, ReferenceKind.IMAGE, session=session, accepted=ACCEPTED)
        except ReferenceRefusedError as error:
            raise UnusablePictureError(ReferenceFault.NOT_READABLE) from error
        except MediaUnavailableError as error:
            raise UnusablePictureError(ReferenceFault.NOT_FETCHED) from error
        return Picture(content=found.content, media_type=found.media_type)

    return load
