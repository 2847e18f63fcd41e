from typing import Any, cast

import grpc
import pytest

from services.common.rpc.reach import tried

IDLE, CONNECTING, READY, FAILED = (
    grpc.ChannelConnectivity.IDLE,
    grpc.ChannelConnectivity.CONNECTING,
    grpc.ChannelConnectivity.READY,
    grpc.ChannelConnectivity.TRANSIENT_FAILURE,
)


class Channel:
    def __init__(self, *states: grpc.ChannelConnectivity) -> None:
        self.states = list(states)
        self.asked_to_connect = False

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        self.asked_to_connect |= try_to_connect
        return self.states[0]

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        assert self.states.pop(0) is last_observed_state


@pytest.mark.parametrize("end", [READY, FAILED])
async def test_a_channel_is_tried_until_it_is_known_whether_someone_answers(
    end: grpc.ChannelConnectivity,
) -> None:
    channel = Channel(IDLE, CONNECTING, end)

    await tried(cast("Any", channel))

    assert channel.states == [end]
    assert channel.asked_to_connect
