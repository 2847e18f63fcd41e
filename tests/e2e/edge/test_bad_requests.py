import pytest

from tests.e2e.edge.client import assert_refused, send
from tests.e2e.edge.upstream import Upstream
from tests.e2e.edge_process import RunningEdge

pytestmark = pytest.mark.asyncio(loop_scope="session")

VIDEOS = "/v1/videos/generations"
NOT_AN_OBJECT = "The request body must be a JSON object."
MODEL_REQUIRED = "Field model is required and must not be empty."
TOO_DEEP = "Field metadata must be at most 5 levels deep."


def video_input(field: str) -> str:
    return f'{{"model":"mini","input":{{"prompt":"waves",{field}}}}}'


def not_json(column: int, reason: str) -> str:
    return f"The request body is not valid JSON at line 1, column {column}: {reason}."


BAD_BODIES = {
    "[]": f"{NOT_AN_OBJECT} It was a list.",
    '"text"': f'{NOT_AN_OBJECT} It was the text "text".',
    "null": MODEL_REQUIRED,
    "{": not_json(2, "it ends too early"),
    '{"model":}': not_json(10, "a value must stand here"),
    '{"model":"mini"}}': not_json(17, "nothing may follow the object"),
    '\ufeff{"model":"mini"}': "Field input is required.",
    '{"model":"\\ud800"}': not_json(11, "this is half of a surrogate pair"),
    '{"metadata":{"a":NaN}}': not_json(18, "a value must stand here"),
    "[" * 200: f"{NOT_AN_OBJECT} It was a list.",
    '{"metadata":' + '{"a":' * 200 + "1" + "}" * 201: TOO_DEEP,
    '{"metadata":{"a":1e999}}': (
        "Field metadata.a is a number that would not come back with the same digits. "
        "It was the number 1e999. Write it as text."
    ),
    '{"model":5}': "Field model must be a text. It was the number 5.",
    '{"model":{"a":1}}': "Field model must be a text. It was an object.",
    '{"model":["mini"]}': "Field model must be a text. It was a list.",
    '{"input":"text"}': 'Field input must be an object. It was the text "text".',
    '{"metadata":"text"}': 'Field metadata must be an object. It was the text "text".',
    '{"metadata":[1]}': "Field metadata must be an object. It was a list.",
    video_input('"duration":"five"'): 'Field input.duration must be a whole number. It was the text "five".',
    video_input(
        '"duration":"fi\\"ve"'
    ): 'Field input.duration must be a whole number. It was the text "fi"ve".',
    video_input('"duration":"fünf\\n"'): (
        'Field input.duration must be a whole number. It was the text "fünf\n".'
    ),
    video_input('"duration":5.5'): "Field input.duration must be a whole number. It was the number 5.5.",
    video_input('"duration":99999999999'): (
        "Field input.duration must be a whole number from 4 to 15. It was the number 99999999999."
    ),
    video_input('"duration":true'): "Field input.duration must be a whole number. It was true.",
    video_input('"duration":[5]'): "Field input.duration must be a whole number. It was a list.",
    video_input('"duration":{}'): "Field input.duration must be a whole number. It was an object.",
    video_input('"duration":5,"duration":6'): "Field input.duration is given more than once. Send it once.",
    video_input(f'"seed":"{"x" * 500}"'): (
        f'Field input.seed must be a whole number. It was the text "{"x" * 64}…".'
    ),
    video_input(
        '"generate_audio":1'
    ): "Field input.generate_audio must be true or false. It was the number 1.",
    video_input('"image_urls":[1]'): "Field input.image_urls[0] must be a text. It was the number 1.",
    video_input('"image_urls":{"a":1}'): "Field input.image_urls must be a list of texts. It was an object.",
    '{"model":"pro","model":"mini"}': "Field model is given more than once. Send it once.",
}


@pytest.mark.parametrize("body", BAD_BODIES, ids=lambda body: body[:40])
async def test_a_bad_body_is_refused_in_the_customers_words(
    edge: RunningEdge, upstream: Upstream, body: str
) -> None:
    answer = await send(edge, "POST", VIDEOS, body)

    assert_refused(answer, 400, BAD_BODIES[body])
    assert upstream.calls == []


async def test_bad_utf_8_in_a_body_is_refused(edge: RunningEdge, upstream: Upstream) -> None:
    answer = await send(edge, "POST", VIDEOS, b'{"model":"\xff"}')

    assert_refused(answer, 400, not_json(11, "this is not UTF-8"))


async def test_an_empty_body_is_an_empty_request(edge: RunningEdge, upstream: Upstream) -> None:
    answer = await send(edge, "POST", VIDEOS)

    assert_refused(answer, 400, MODEL_REQUIRED)


ALLOWED = "Allowed: after, limit, status."
BAD_QUERIES = {
    f"{VIDEOS}?limit=abc": 'Field limit must be a whole number. It was "abc".',
    f"{VIDEOS}?limit=": 'Field limit must be a whole number. It was "".',
    f"{VIDEOS}?limit=5.5": 'Field limit must be a whole number. It was "5.5".',
    f"{VIDEOS}?limit=99999999999": 'Field limit is out of range. It was "99999999999".',
    f"{VIDEOS}?limit=1&limit=2": "Field limit is given more than once.",
    f"{VIDEOS}?limit=0": "Field limit must be greater than or equal to 1 and less than or equal to 100. It was 0.",
    f"{VIDEOS}?foo=1": f'Unknown query parameter "foo". {ALLOWED}',
    f"{VIDEOS}?limit=5&foo": f'Unknown query parameter "foo". {ALLOWED}',
    f"{VIDEOS}?lim=5": f'Unknown query parameter "lim". {ALLOWED}',
    f"{VIDEOS}?limit.x=5": f'Unknown query parameter "limit.x". {ALLOWED}',
    f"{VIDEOS}?%6cimit=5": f"Unknown query parameter. {ALLOWED}",
    f'{VIDEOS}?"a"=5': f"Unknown query parameter. {ALLOWED}",
    f"{VIDEOS}/vid_1?id=vid_2": 'Unknown query parameter "id". Allowed: wait.',
    "/v1/models?limit=5": 'Unknown query parameter "limit". Allowed: none.',
    "/v1/usage?from=x": 'Unknown query parameter "from". Allowed: end, limit, start.',
}


@pytest.mark.parametrize("path", BAD_QUERIES)
async def test_a_bad_query_is_refused_in_the_customers_words(
    edge: RunningEdge, upstream: Upstream, path: str
) -> None:
    answer = await send(edge, "GET", path)

    assert_refused(answer, 400, BAD_QUERIES[path])


@pytest.mark.parametrize("query", ["?", "?&", "?limit=5&", "?limit=5&status=failed", "?after=a%26b"])
async def test_a_good_query_reaches_the_service(edge: RunningEdge, upstream: Upstream, query: str) -> None:
    answer = await send(edge, "GET", VIDEOS + query)

    assert answer.status == 200
    assert [call.method for call in upstream.calls] == ["ListVideos"]


async def test_a_post_takes_no_query(edge: RunningEdge, upstream: Upstream) -> None:
    body = '{"input":{"prompt":"waves"}}'

    answer = await send(edge, "POST", f"{VIDEOS}?model=mini", body)

    assert_refused(answer, 400, 'Unknown query parameter "model". Allowed: none.')
    assert upstream.calls == []
