"""With an idempotency key: a request with empty texts and one without them are the same."""

import itertools

from reelgate.video.v1.video_pb2 import VideoInput
from reelgate.video.v1.video_service_pb2 import CreateVideoRequest

from tests.conftest import MakeDatabase
from tests.integration.common.keyed import running_service

WITHOUT = CreateVideoRequest(model="mini", input=VideoInput(prompt="Waves"))
WITH = CreateVideoRequest(
    model="mini", callback_url="", input=VideoInput(prompt="Waves", video_url="", aspect_ratio="")
)


async def test_it_is_replayed_whichever_of_them_came_first(make_database: MakeDatabase) -> None:
    async with running_service(make_database("jobs")) as service:
        for number, (first, second) in enumerate(itertools.permutations((WITHOUT, WITH))):
            made = await service.post(str(number), request=first)
            again = await service.post(str(number), request=second)

            assert (made.status, again.status) == (200, 200)
            assert (again.body, again.is_replay) == (made.body, True)
        assert len(service.deeds.reservations) == 2
