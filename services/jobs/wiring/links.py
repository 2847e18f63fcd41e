"""Which addresses of media customers get."""

from services.common.clock import Clock, utc_now
from services.jobs.media_links import Links, as_stored
from services.jobs.settings import JobsSettings


def links_of(settings: JobsSettings, *, clock: Clock = utc_now) -> Links:
    """Returns what gives jobs the addresses that their customers get."""
    seconds, base_url = settings.media_url_seconds, settings.media_base_url
    if not seconds:
        return as_stored
    from services.jobs.signed_links import by_secret, kept, signed

    if not settings.media_is_in_folder:
        from services.media.store import MediaStore

        store = MediaStore.open(settings.media_store_url, public_base_url=base_url)
        return signed(kept(store.sign, seconds=seconds, clock=clock))
    assert settings.media_url_secret is not None, "the settings ask for it"
    secret = settings.media_url_secret.get_secret_value()
    return signed(by_secret(secret, base_url=base_url, seconds=seconds, clock=clock))
