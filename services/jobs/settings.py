"""Settings of the jobs service: environment variables that begin with JOBS_."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from services.common.egress.policy import Networks
from services.common.egress.urls import Origins, origin_of
from services.common.settings import Address, ServiceSettings, Target
from services.jobs.callback_tokens import CallbackTokens

MEDIA_URL_SECONDS_MAX = 432_000
"""Five days: stores sign for seven at the most, and addresses are signed for longer than they are promised."""
JOB_DAYS_MIN = 30
"""The database itself forgets no younger jobs: keys of requests, holds and the verifier may still name them."""


def parse_json(value: object) -> object:
    """Returns what a text of JSON says. Raises ValueError."""
    return json.loads(value) if isinstance(value, str) else value


def _named_as_before(provider: object) -> object:
    return "catalogue" if provider == "ark" else provider


class KeptDays(BaseModel):
    """How many days things of one account are kept; 0 is forever, None as for all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    media_days: int | None = Field(default=None, ge=0, le=36_500)
    content_days: int | None = Field(default=None, ge=0, le=36_500)


KeptDaysByAccount = Annotated[Mapping[str, KeptDays], BeforeValidator(parse_json)]


def _is_folder(store_url: str) -> bool:
    return urlsplit(store_url).scheme in {"", "file"}


class JobsSettings(ServiceSettings):
    """What a jobs process needs to know."""

    public_address: Address = "0.0.0.0:7001"
    """Where customers' methods are served."""
    billing_target: Target
    """Internal port of the billing service: `host:port`, whose name has an address for each process; calls are shared out
    among them. With `dns://SERVER:PORT/` in front, that name server is asked and not the system's."""
    webhooks_target: Target
    """Internal port of the webhooks service, in the same form."""
    media_store_url: str
    """A folder, or `s3://…`, `gs://…`, `az://…`."""
    media_base_url: str
    """Public address of the media store."""
    media_url_secret: SecretStr | None = Field(default=None, min_length=16)
    """Signs addresses of files where `media_store_url` is a folder; the host of the folder has the same secret
    (SIMULATOR_MEDIA_URL_SECRET). Without it a stack with a folder takes no uploads. Buckets sign for themselves."""
    uploads_max: int = Field(default=200, ge=0, le=100_000)
    """Uploads that an account may have in an environment, those included whose file has not come. 0: none are taken."""
    upload_mb_max: int = Field(default=2_000, ge=0, le=10_000_000)
    """Megabytes that they may have together. A file that has not come counts with the most that it may have."""
    media_url_seconds: int = Field(default=0, ge=0, le=MEDIA_URL_SECONDS_MAX)
    """For how many seconds an address of media is valid from when a customer gets it. 0: forever, to anyone who has it.
    A bucket signs its own addresses, with the credentials of the process; they lead to the bucket and not to
    `media_base_url`, so it need not be public. A folder needs `media_url_secret`, and a host that asks for signatures
    (SIMULATOR_MEDIA_SIGNED)."""
    callback_base_url: str = ""
    """Public address of the edge, where providers call back. Empty: workers only poll them."""
    catalogue_file: Path = Path(__file__).parent / "catalogue.yaml"
    """Models, the routes that render them, and the credentials that pay. It is read again when it changes, and so are the
    files with keys."""
    moderation_file: Path = Path(__file__).parent / "moderation.yaml"
    """Profiles that judge prompts, and their rules."""
    moderation_url: Annotated[str, StringConstraints(pattern=r"^(https?://[^\s]+)?$")] = ""
    """Endpoint that also judges prompts, for profiles with `external`: OpenAI's `POST /v1/moderations`, or one that
    answers like it. Empty: none."""
    moderation_api_key: SecretStr | None = None
    """The bearer token that this endpoint accepts, if it needs one."""
    moderation_model: str = ""
    """The model to request from this endpoint. Empty: its own choice."""
    moderation_timeout_seconds: float = Field(default=2.0, gt=0, le=10)
    """How long to wait for its answer. The profile decides what happens then."""
    ark_base_url: str = "https://ark.ap-southeast.bytepluses.com/api/v3"
    """ModelArk's API, for credentials of the catalogue that name no other address."""
    ark_api_key: SecretStr | None = None
    """ModelArk's key, which the shipped catalogue names. Workers keep following tasks that are there while the simulator
    renders new ones."""
    live_provider: Annotated[Literal["simulator", "catalogue"], BeforeValidator(_named_as_before)]
    """Who renders for the live environment, whose customers pay: `catalogue`, the routes of the catalogue file, which
    need their keys, or `simulator`, for stacks without customers. `ark` means `catalogue`."""
    fal_callback_keys_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")] = (
        "https://rest.fal.ai/.well-known/jwks.json"
    )
    """Where fal publishes the keys that it signs callbacks with."""
    simulator_base_url: str
    """The simulator's API, which renders for the test environment."""
    simulator_api_key: SecretStr
    """The bearer token that the simulator accepts."""
    media_days: int = Field(default=365, ge=0, le=36_500)
    """How many days after a job's end its media are kept. 0: forever."""
    content_days: int = Field(default=365, ge=0, le=36_500)
    """How many days after a job's end its prompt, its references' addresses, its metadata and the records of its
    attempts are kept. 0: forever."""
    job_days: int = Field(default=0, ge=0, le=36_500)
    """How many days after its acceptance a job is kept, and its media and content at the most. 0: forever, else 30 at
    least. Jobs go a month at a time, as soon as its youngest job is that old and nothing of it is unfinished. Usage and
    the ledger stay."""
    kept_days_by_account: KeptDaysByAccount = Field(default_factory=dict)
    """Other days for some accounts, as JSON: `{"acct_…": {"media_days": 30, "content_days": 0}}`. Days that are left
    out are those of all accounts. What `reelgate account retention` chose for an account counts more."""
    result_origins_allowed: Origins = frozenset()
    """Comma-separated addresses such as `http://files.internal:9000`: hosts with their ports that results may be
    fetched from although they are not public. The hosts of the providers' base addresses are always allowed."""
    private_targets_allowed: Networks = ()
    """Comma-separated CIDR blocks that customers' addresses may point to although they are not public."""

    @property
    def callback_tokens(self) -> CallbackTokens:
        """What signs the addresses that providers call back at: with the secrets of API keys, for another purpose."""
        return CallbackTokens([secret.get_secret_value() for secret in self.key_checksum_secrets])

    @property
    def media_is_in_folder(self) -> bool:
        """Whether media are in a folder, and not in a bucket."""
        return _is_folder(self.media_store_url)

    def media_days_of(self, account_id: str, chosen: int | None = None) -> int:
        """Returns how many days media of an account are kept, where an operator chose some for it or not. 0: forever."""
        own = self.kept_days_by_account.get(account_id, KeptDays()).media_days
        return self._days(chosen, own, self.media_days)

    def content_days_of(self, account_id: str, chosen: int | None = None) -> int:
        """Returns how many days content of an account is kept, where an operator chose some for it or not. 0: forever."""
        own = self.kept_days_by_account.get(account_id, KeptDays()).content_days
        return self._days(chosen, own, self.content_days)

    def _days(self, *wanted: int | None) -> int:
        """Returns the first that is not None, but no more than the days of jobs. 0 is forever."""
        days = next(each for each in wanted if each is not None)
        return min(days or self.job_days, self.job_days or days)

    @field_validator("media_url_seconds")
    @classmethod
    def _can_be_signed(cls, seconds: int, others: ValidationInfo) -> int:
        if (
            seconds
            and _is_folder(others.data.get("media_store_url", ""))
            and others.data.get("media_url_secret") is None
        ):
            raise ValueError("media in a folder need JOBS_MEDIA_URL_SECRET or JOBS_MEDIA_URL_SECRET_FILE")
        return seconds

    @field_validator("job_days")
    @classmethod
    def _outlasts_what_is_under_way(cls, days: int) -> int:
        if 0 < days < JOB_DAYS_MIN:
            raise ValueError(f"must be 0 or at least {JOB_DAYS_MIN}")
        return days

    @field_validator("ark_base_url", "simulator_base_url")
    @classmethod
    def _has_an_origin(cls, url: str) -> str:
        origin_of(url)
        return url

    @field_validator("simulator_base_url")
    @classmethod
    def _not_the_paid_one(cls, url: str, others: ValidationInfo) -> str:
        paid = others.data.get("ark_base_url")
        if paid is not None and origin_of(url) == origin_of(paid):
            raise ValueError("must not be ModelArk, which bills what it renders")
        return url
