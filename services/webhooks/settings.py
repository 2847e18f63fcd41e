"""Settings of the webhooks service: environment variables that begin with WEBHOOKS_."""

from typing import Annotated

from cryptography.fernet import Fernet
from pydantic import AfterValidator, SecretStr

from services.common.egress import Networks
from services.common.settings import Address, ServiceSettings
from services.common.tls.identities import JOBS, Identities


def _fernet_key(key: SecretStr) -> SecretStr:
    Fernet(key.get_secret_value())
    return key


class WebhooksSettings(ServiceSettings):
    """What a webhooks process needs to know."""

    internal_address: Address = "127.0.0.1:7101"
    """Where other services are served."""
    jobs_identities: Identities = (JOBS,)
    """Who may hand events over."""
    public_address: Address = "0.0.0.0:7001"
    """Where customers' methods are served."""
    billing_target: Address
    """Internal port of the billing service."""
    secret_key: Annotated[SecretStr, AfterValidator(_fernet_key)]
    """Encrypts signing secrets at rest: 32 bytes in URL-safe base64."""
    private_targets_allowed: Networks = ()
    """Comma-separated CIDR blocks that customers' addresses may point to although they are not public."""
