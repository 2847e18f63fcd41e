"""Settings of the billing service: environment variables that begin with BILLING_."""

from pathlib import Path

from services.common.settings import Address, ServiceSettings
from services.common.tls.identities import JOBS, WEBHOOKS, Identities


class BillingSettings(ServiceSettings):
    """What a billing process needs to know."""

    internal_address: Address = "127.0.0.1:7101"
    """Where other services are served."""
    jobs_identities: Identities = (JOBS,)
    """Who may call the methods that only jobs needs: holds and prices."""
    webhooks_identities: Identities = (WEBHOOKS,)
    """Who else may look up keys and lease calls, in addition to jobs."""
    public_address: Address = "0.0.0.0:7001"
    """Where customers' methods are served."""
    prices_file: Path = Path(__file__).parent / "prices.yaml"
    """A version of prices, loaded at the first start that reads it."""
