"""Settings of the jobs service: environment variables that begin with JOBS_."""

from pathlib import Path

from pydantic import SecretStr

from services.common.egress import Networks
from services.common.settings import Address, ServiceSettings


class JobsSettings(ServiceSettings):
    """What a jobs process needs to know."""

    internal_address: Address = "0.0.0.0:7101"
    """Where operators' methods and health probes are served."""
    public_address: Address = "0.0.0.0:7001"
    """Where customers' methods are served."""
    billing_target: Address
    """Internal port of the billing service."""
    webhooks_target: Address
    """Internal port of the webhooks service."""
    media_store_url: str
    """A folder, or `s3://…`, `gs://…`, `az://…`."""
    media_base_url: str
    """Public address of the media store."""
    callback_base_url: str = ""
    """Public address of the edge, where providers call back. Empty: they are only polled."""
    catalogue_file: Path = Path(__file__).parent / "catalogue.yaml"
    """Models: what they can do, and what providers call them."""
    ark_base_url: str = "https://ark.ap-southeast.bytepluses.com/api/v3"
    """ModelArk, which renders for the live environment."""
    ark_api_key: SecretStr | None = None
    """Without it the simulator renders for the live environment too."""
    simulator_base_url: str
    """The simulator's API, which renders for the test environment."""
    simulator_api_key: SecretStr
    """The bearer that the simulator accepts."""
    private_targets_allowed: Networks = ()
    """Comma-separated CIDR blocks that customers' addresses may point to although they are not public."""
