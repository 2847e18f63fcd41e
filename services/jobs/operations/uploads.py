"""Uploads, as their owners create and delete them, and as their requests name them."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from services.common.clock import Clock, whole_milliseconds
from services.common.errors import Reason, invalid_field, outage
from services.common.idempotency.reservation import ReservedId
from services.jobs.domain.requests import Owner
from services.jobs.domain.uploads import PUT_TIME, UNUSED_TIME, Upload, UploadQuota, UploadUse
from services.jobs.refusals import upload_not_found, uploads_closed
from services.jobs.store.uploads import SqlUploads
from services.jobs.upload_files import UploadFiles
from services.media.errors import MediaUnavailableError
from services.media.names import upload_id_of, upload_name
from services.media.reference_rules import MEDIA_TYPES, RULES, ReferenceRefusedError, check_kind

Answer = TypeVar("Answer")
ID_PREFIX = "upl"
UNKNOWN = (
    "names an upload that this account does not have in this environment, or no longer."
    " Create one with POST /v1/uploads"
)
NOT_ARRIVED = (
    "names an upload whose file has not arrived. PUT it first to the address that POST /v1/uploads answered"
)


class UseUploads(Protocol):
    """Checks the uploads that a request names."""

    async def __call__(self, uses: Sequence[UploadUse], *, owner: Owner, keep: bool) -> None:
        """Returns if all are there, and with `keep` keeps them for a task. Refuses with INVALID_FIELD or UNAVAILABLE."""


@dataclass(frozen=True, kw_only=True)
class NewUpload:
    """What will be sent."""

    media_type: str
    byte_count: int | None
    """None: as many as a file of its kind may have."""


@dataclass(frozen=True, kw_only=True)
class UploadOperations:
    """Uploads, as their owners use them."""

    uploads: SqlUploads
    files: UploadFiles
    quota: UploadQuota
    new_id: Callable[[str, datetime], str]
    new_token: Callable[[], str]
    clock: Clock

    async def create(
        self, wanted: NewUpload, *, owner: Owner, reserved: ReservedId | None = None
    ) -> tuple[Upload, str]:
        """Announces a file. Returns the upload and the address to send it to.

        Refuses with UPLOAD_LIMIT_REACHED, or UNAVAILABLE where no files are taken.
        """
        if not self.files.is_open:
            raise uploads_closed()
        found = None
        if reserved is not None and reserved.is_repeated:
            found = (await self.uploads.find([reserved.id], owner=owner)).get(reserved.id)
        if found is None:
            found = self._announced(wanted, owner=owner, reserved=reserved)
            await self.uploads.add(found, quota=self.quota)
        address = await _available(self.files.put_address(found.name, size_max=found.byte_count))
        return found, address

    async def get(self, upload_id: str, *, owner: Owner) -> tuple[Upload, int | None]:
        """Returns an upload, and how many bytes have arrived if any. Refuses with UPLOAD_NOT_FOUND."""
        found = (await self.uploads.find([upload_id], owner=owner)).get(upload_id)
        if found is None:
            raise upload_not_found(upload_id)
        if found.arrived_at is not None:
            return found, found.byte_count
        return found, await _available(self.files.size_of(found.name))

    async def delete(self, upload_id: str, *, owner: Owner) -> None:
        """Deletes an upload and its file. Refuses with UPLOAD_NOT_FOUND."""
        name = await self.uploads.give_up(upload_id, owner=owner)
        if name is None:
            raise upload_not_found(upload_id)
        # What cannot be deleted now is swept later.
        with suppress(MediaUnavailableError):
            await self.files.delete(name)
            await self.uploads.forget(upload_id)

    async def use(self, uses: Sequence[UploadUse], *, owner: Owner, keep: bool) -> None:
        """Returns if all uploads that a request names are there and of the right kind; with `keep` they stay there.

        Refuses with INVALID_FIELD, naming the field, or UNAVAILABLE.
        """
        named = [(use, upload_id_of(use.name) or "") for use in uses]
        found = await self.uploads.find(sorted({upload_id for _, upload_id in named}), owner=owner)
        for use, upload_id in named:
            upload = found.get(upload_id)
            if upload is None or upload.name != use.name:
                raise invalid_field(use.field, UNKNOWN)
            await self._check(upload, use)
        if keep and await self.uploads.keep(list(found), owner=owner) != found.keys():
            raise invalid_field(uses[0].field, UNKNOWN)

    async def _check(self, upload: Upload, use: UploadUse) -> None:
        try:
            check_kind(upload.media_type, use.kind)
            if upload.arrived_at is not None:
                return
            size = await _available(self.files.arrival(upload.name, size_max=upload.byte_count))
        except ReferenceRefusedError as error:
            raise invalid_field(use.field, error.rule) from error
        if size is None:
            raise invalid_field(use.field, NOT_ARRIVED)
        await self.uploads.note_arrival(upload.id, byte_count=size)

    def _announced(self, wanted: NewUpload, *, owner: Owner, reserved: ReservedId | None) -> Upload:
        now = whole_milliseconds(self.clock())
        upload_id = self.new_id(ID_PREFIX, now) if reserved is None else reserved.id
        name = upload_name(upload_id, secret=self.new_token(), media_type=wanted.media_type)
        return Upload(
            id=upload_id,
            account_id=owner.account_id,
            environment=owner.environment,
            name=name,
            media_type=wanted.media_type,
            byte_count=wanted.byte_count or RULES[MEDIA_TYPES[wanted.media_type]].byte_count_max,
            created_at=now,
            put_until=now + PUT_TIME,
            kept_until=now + UNUSED_TIME,
        )


async def refuse_uploads(uses: Sequence[UploadUse], *, owner: Owner, keep: bool) -> None:
    """Refuses what names an upload, where no files are taken."""
    del owner, keep
    if uses:
        raise uploads_closed()


async def _available(asked: Awaitable[Answer]) -> Answer:
    try:
        return await asked
    except MediaUnavailableError as error:
        raise outage(Reason.UNAVAILABLE, detail=error.detail) from error
