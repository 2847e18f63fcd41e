"""Where bodies are read against the contract, and who may say what was found."""

from pathlib import Path
from typing import Any

from services.edge.descriptor import read_descriptor
from services.edge.render import render
from services.edge.settings import DESCRIPTOR, EdgeSettings
from services.edge.strict import FAULT, STRICT, read_shapes

WITH_GRPC = EdgeSettings(
    tls_certificate_file=Path("/tls/tls.crt"), tls_key_file=Path("/tls/tls.key"), grpc_address="0.0.0.0:8443"
)


def managers() -> list[Any]:
    listeners = render(WITH_GRPC)["static_resources"]["listeners"]
    return [each["filter_chains"][0]["filters"][-1]["typed_config"] for each in listeners]


def test_no_listener_lets_a_client_say_what_is_wrong_with_a_body() -> None:
    removed = {"remove_on_match": {"key_matcher": {"exact": FAULT}}}

    early = [each["early_header_mutation_extensions"][0]["typed_config"]["mutations"] for each in managers()]

    assert [removed in mutations for mutations in early] == [True, True]


def test_only_routes_that_take_a_body_read_it() -> None:
    [host] = managers()[0]["route_config"]["virtual_hosts"]
    read = {route["name"] for route in host["routes"] if STRICT in route.get("typed_per_filter_config", {})}

    assert read == {
        f"{each.verb} {each.template}"
        for each in read_descriptor(DESCRIPTOR).endpoints
        if each.verb != "GET" and not each.template.startswith("/callbacks/")
    }
    [strict] = [each for each in managers()[0]["http_filters"] if each["name"] == STRICT]
    assert strict["disabled"]


def test_a_field_of_the_path_is_none_of_the_body() -> None:
    shapes = read_shapes(read_descriptor(DESCRIPTOR))

    assert shapes["reelgate.webhooks.v1.UpdateWebhookEndpointRequest"] == {
        "description": "text",
        "enabled": "boolean",
        "events": "texts",
        "url": "text",
    }
    assert shapes["reelgate.video.v1.CreateVideoRequest"]["input"] == "reelgate.video.v1.VideoInput"
    assert shapes["reelgate.video.v1.CancelVideoRequest"] == {}
