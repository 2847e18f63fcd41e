import pytest

from services.common.settings import SettingsError, load_settings
from services.edge.settings import PREFIX, EdgeSettings


@pytest.mark.parametrize("address", ["0.0.0.0:9901", "10.0.0.7:9901", "edge:9901", "[::]:9901"])
def test_envoys_own_pages_are_for_this_machine_alone(address: str) -> None:
    with pytest.raises(SettingsError, match=r"EDGE_ADMIN_ADDRESS: .*must be on loopback"):
        load_settings(EdgeSettings, prefix=PREFIX, environment={"EDGE_ADMIN_ADDRESS": address})


@pytest.mark.parametrize("address", ["127.0.0.1:9901", "localhost:9901", "[::1]:9901"])
def test_this_machine_may_be_named_in_any_way(address: str) -> None:
    settings = load_settings(EdgeSettings, prefix=PREFIX, environment={"EDGE_ADMIN_ADDRESS": address})

    assert settings.admin_address == address
