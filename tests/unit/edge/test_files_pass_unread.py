"""The edge hands a file on as it comes: no filter that is made for JSON keeps it, counts it or ends it."""

from services.edge.filters import body_limit
from services.edge.floods import body_guards
from services.edge.media import upload_route
from services.edge.settings import EdgeSettings
from services.edge.transcoding import TRANSCODER


def test_every_filter_of_bodies_is_off_for_uploads() -> None:
    filters = [body_limit(), *body_guards(EdgeSettings())]
    off = upload_route("/media")["typed_per_filter_config"]
    assert len(filters) == 4
    assert {each["name"] for each in filters} | {TRANSCODER} == {
        name for name, said in off.items() if said["disabled"]
    }


def test_a_file_is_never_sent_twice() -> None:
    # To send it again, Envoy would have to keep it.
    assert "retry_policy" not in upload_route("/media")["route"]
