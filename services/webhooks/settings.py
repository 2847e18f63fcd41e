"""Settings of the webhooks service: environment variables that begin with WEBHOOKS_."""

from collections.abc import Mapping
from typing import Annotated

from cryptography.fernet import Fernet
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from services.common.egress.policy import Networks
from services.common.settings import Address, ServiceSettings, Target
from services.common.tls.identities import JOBS, Identities


def _fernets(keys: SecretStr) -> tuple[Fernet, ...]:
    return tuple(Fernet(key.strip()) for key in keys.get_secret_value().split(","))


def _fernet_keys(keys: SecretStr) -> SecretStr:
    _fernets(keys)
    return keys


def _parse_kept_days(listed: object) -> object:
    if not isinstance(listed, str):
        return listed
    return dict(entry.strip().split("=", 1) for entry in listed.split(",") if entry.strip())


KeptDays = Annotated[int, Field(ge=2)]


class WebhooksSettings(ServiceSettings):
    """What a webhooks process needs to know."""

    internal_address: Address = "127.0.0.1:7101"
    """Where other services are served."""
    jobs_identities: Identities = (JOBS,)
    """Who may hand events over."""
    public_address: Address = "0.0.0.0:7001"
    """Where customers' methods are served."""
    billing_target: Target
    """Internal port of the billing service: `host:port`, whose name has an address for each process; calls are shared out
    among them. With `dns://SERVER:PORT/` in front, that name server is asked and not the system's."""
    secret_key: Annotated[SecretStr, AfterValidator(_fernet_keys)]
    """Encrypts signing secrets at rest: 32 bytes in URL-safe base64. Several, separated by commas: the first encrypts,
    all of them decrypt. To replace one, put the new one first, run `reelgate secrets reseal`, and remove the old one a
    day later."""
    private_targets_allowed: Networks = ()
    """Comma-separated CIDR blocks that customers' addresses may point to although they are not public."""

    kept_days: KeptDays = 30
    """How many days an event is kept, with its deliveries and attempts. Events that are not yet delivered or given up
    stay, and so do endpoints, secrets and the audit."""
    kept_days_of: Annotated[Mapping[str, KeptDays], BeforeValidator(_parse_kept_days)] = {}
    """Accounts whose events are kept for another number of days: `acct_1=90,acct_2=7`."""

    @property
    def sealing_keys(self) -> tuple[Fernet, ...]:
        """What encrypts at rest, newest first."""
        return _fernets(self.secret_key)
