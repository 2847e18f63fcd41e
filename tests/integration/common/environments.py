"""The environment of each service's processes, as an operator sets it."""

from pathlib import Path

from cryptography.fernet import Fernet

from tests.conftest import KEY_SECRET

FREE = "127.0.0.1:0"
NOBODY = "127.0.0.1:1"
"""Where nobody answers."""


def environment_of(service: str, *, database_url: str, folder: Path, **changes: str) -> dict[str, str]:
    """Returns the variables of a service, those of `changes` without their prefix. TLS is waived unless they say."""
    own = {
        "database_url": database_url,
        "key_checksum_secrets": KEY_SECRET,
        "public_address": FREE,
        "admin_address": FREE,
        "health_address": FREE,
        "metrics_address": FREE,
        **_OWN[service](folder),
        **({} if "tls_folder" in changes else {"plaintext_internal": "true"}),
        **changes,
    }
    return {f"{service.upper()}_{name.upper()}": value for name, value in own.items()}


def _billing(_folder: Path) -> dict[str, str]:
    return {"internal_address": FREE}


def _webhooks(_folder: Path) -> dict[str, str]:
    return {
        "internal_address": FREE,
        "billing_target": NOBODY,
        "secret_key": Fernet.generate_key().decode(),
        "private_targets_allowed": "127.0.0.0/8",
    }


def _jobs(folder: Path) -> dict[str, str]:
    return {
        "billing_target": NOBODY,
        "webhooks_target": NOBODY,
        "media_store_url": str(folder / "media"),
        "media_base_url": "https://media.example",
        "live_provider": "simulator",
        "simulator_base_url": f"http://{NOBODY}",
        "simulator_api_key": "of-the-tests",
    }


_OWN = {"billing": _billing, "webhooks": _webhooks, "jobs": _jobs}
