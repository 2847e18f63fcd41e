import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from services.common.settings import SettingsError, load_settings
from services.edge import descriptor
from services.edge.process import write_config
from services.edge.render import as_yaml, render
from services.edge.settings import DESCRIPTOR, PREFIX, EdgeSettings


def manager(config: dict[str, Any]) -> Any:
    return config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][-1]["typed_config"]


def transcoder(config: dict[str, Any]) -> Any:
    return next(
        each["typed_config"] for each in manager(config)["http_filters"] if "transcoder" in each["name"]
    )


def test_the_same_settings_render_the_same_bytes() -> None:
    first, second = (as_yaml(render(EdgeSettings())) for _ in range(2))

    assert first == second
    assert yaml.safe_load(first) == yaml.safe_load(second)


def test_no_private_service_is_in_the_configuration() -> None:
    config = render(EdgeSettings())

    files = FileDescriptorSet.FromString(base64.b64decode(transcoder(config)["proto_descriptor_bin"]))
    packages = {file.package for file in files.file}
    assert "reelgate.video.v1" in packages
    assert [package for package in packages if f"{package}.".startswith(descriptor.PRIVATE_PACKAGES)] == []
    assert "reelgate.internal" not in as_yaml(config)
    assert "reelgate.admin" not in as_yaml(config)


def test_a_private_service_can_not_be_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(descriptor.SERVICES, "billing", ("reelgate.internal.ledger.v1.LedgerService",))

    with pytest.raises(AssertionError, match="private"):
        render(EdgeSettings())


def test_every_public_service_of_the_contract_is_transcoded() -> None:
    listed = set(transcoder(render(EdgeSettings()))["services"])

    described = {
        f"{file.package}.{service.name}"
        for file in FileDescriptorSet.FromString(DESCRIPTOR.read_bytes()).file
        for service in file.service
        if file.package.startswith("reelgate.")
    }
    assert listed == {name for name in described if not name.startswith(descriptor.PRIVATE_PACKAGES)}


def test_every_endpoint_goes_to_the_service_that_has_it() -> None:
    endpoints = {
        (each.verb, each.template): (each.cluster, each.query_names)
        for each in descriptor.read_descriptor(DESCRIPTOR).endpoints
    }

    assert endpoints[("GET", "/v1/balance")] == ("billing", ())
    assert endpoints[("POST", "/v1/videos/generations")] == ("jobs", ())
    assert endpoints[("GET", "/v1/videos/generations")] == ("jobs", ("after", "limit", "status"))
    assert endpoints[("GET", "/v1/videos/generations/{id}")] == ("jobs", ("wait",))
    assert endpoints[("GET", "/v1/video/generations")] == ("jobs", ("limit", "offset"))
    assert endpoints[("GET", "/v1/videos/generations/{id}/events")] == ("jobs", ())
    assert endpoints[("POST", "/callbacks/{token}")] == ("jobs", ())


def test_who_waits_has_longer_and_who_listens_has_until_silence() -> None:
    (host,) = manager(render(EdgeSettings()))["route_config"]["virtual_hosts"]
    forwards = [each for each in host["routes"] if "route" in each]

    by_kind = {
        "waits": [each for each in forwards if "query_parameters" in each["match"]],
        "listens": [each for each in forwards if "idle_timeout" in each["route"]],
    }

    assert [each["route"]["timeout"] for each in by_kind["waits"]] == ["66s"] * 3
    assert [each["match"]["safe_regex"]["regex"].split("/")[-1] for each in by_kind["listens"]] == [
        "events"
    ] * 2
    assert all("request_headers_to_add" not in each for each in by_kind["listens"])


def test_every_process_is_an_endpoint_of_its_own() -> None:
    config = render(EdgeSettings(jobs_targets=("jobs-1:7001", "jobs-2:7002")))

    jobs = next(each for each in config["static_resources"]["clusters"] if each["name"] == "jobs")
    (group,) = jobs["load_assignment"]["endpoints"]
    addresses = [each["endpoint"]["address"]["socket_address"] for each in group["lb_endpoints"]]
    assert addresses == [
        {"address": "jobs-1", "port_value": 7001},
        {"address": "jobs-2", "port_value": 7002},
    ]


def test_media_is_served_only_where_somebody_has_it() -> None:
    without = load_settings(EdgeSettings, prefix=PREFIX, environment={"EDGE_MEDIA_TARGETS": ""})

    assert "/media" not in as_yaml(render(without))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EDGE_JOBS_TARGETS", ""),
        ("EDGE_JOBS_TARGETS", "jobs"),
        ("EDGE_LISTEN_ADDRESS", "0.0.0.0:0"),
        ("EDGE_MEDIA_PATH", "/media/"),
        ("EDGE_MEDIA_TARGETS", "media"),
        ("EDGE_CONCURRENCY", "0"),
        ("EDGE_TLS_KEY_FILE", "/tls/tls.key"),
        ("EDGE_GRPC_ADDRESS", "0.0.0.0:8443"),
        ("EDGE_TRUSTED_HOPS", "-1"),
    ],
)
def test_a_bad_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings(EdgeSettings, prefix=PREFIX, environment={name: value})


def test_a_certificate_and_its_key_stand_in_one_folder() -> None:
    def problems(**files: str) -> str:
        environment = {f"EDGE_TLS_{name.upper()}_FILE": file for name, file in files.items()}
        with pytest.raises(SettingsError) as told:
            load_settings(EdgeSettings, prefix=PREFIX, environment=environment)
        return str(told.value)

    assert "both, or neither" in problems(certificate="/tls/tls.crt")
    assert "in the folder of EDGE_TLS_CERTIFICATE_FILE" in problems(
        certificate="/tls/tls.crt", key="/keys/tls.key"
    )


def test_a_key_stands_in_no_configuration(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("tls.crt", "tls.key")}
    for file in files.values():
        file.write_text(f"what stands in {file.name}")
    settings = EdgeSettings(tls_certificate_file=files["tls.crt"], tls_key_file=files["tls.key"])

    config = write_config(settings, tmp_path / "envoy.yaml")

    written = config.read_text() + (tmp_path / "envoy.tls.yaml").read_text()
    assert str(tmp_path / "envoy.tls.yaml") in written
    assert str(files["tls.key"]) in written
    assert "what stands in" not in written


def test_a_missing_certificate_is_told_before_envoy_starts(tmp_path: Path) -> None:
    settings = EdgeSettings(tls_certificate_file=tmp_path / "tls.crt", tls_key_file=tmp_path / "tls.key")

    with pytest.raises(SettingsError, match=r"EDGE_TLS_CERTIFICATE_FILE: cannot read .*tls\.crt"):
        write_config(settings, tmp_path / "envoy.yaml")


def test_grpc_has_the_public_methods_without_callbacks() -> None:
    settings = EdgeSettings(
        tls_certificate_file=Path("/tls/tls.crt"),
        tls_key_file=Path("/tls/tls.key"),
        grpc_address="0.0.0.0:8443",
    )
    chain = render(settings)["static_resources"]["listeners"][1]["filter_chains"][0]

    [host] = chain["filters"][-1]["typed_config"]["route_config"]["virtual_hosts"]
    paths = {route["match"]["path"]: route for route in host["routes"] if "route" in route}
    public = {
        f"/{file.package}.{service.name}/{method.name}"
        for file in FileDescriptorSet.FromString(DESCRIPTOR.read_bytes()).file
        for service in file.service
        for method in service.method
        if file.package.startswith("reelgate.")
        and not file.package.startswith(("reelgate.admin", "reelgate.internal", "reelgate.callback"))
    }
    assert set(paths) == public
    assert all(route["match"]["grpc"] == {} for route in paths.values())
    assert "transport_socket" in chain


def test_addresses_are_limited_unless_told_otherwise() -> None:
    def guards(**settings: Any) -> set[str]:
        filters = manager(render(EdgeSettings(**settings)))["http_filters"]
        of_creations = {"edge_key_creations", "edge_busy_keys"}
        return {each["typed_config"].get("stat_prefix") for each in filters} - {None, *of_creations}

    of_address = {"edge_address", "edge_address_bytes"}
    assert guards() == {*of_address, "edge_large_bytes"}
    assert guards(calls_per_second_per_address=0) == {"edge_address_bytes", "edge_large_bytes"}
    assert guards(body_kib_per_second_per_address=0) == {"edge_address", "edge_large_bytes"}
    assert guards(large_body_kib_per_second=0) == of_address


@pytest.mark.parametrize("media_targets", [(), ("127.0.0.1:9000",)])
def test_no_request_but_a_file_may_take_longer_to_arrive_than_30_seconds_and_its_answer(
    media_targets: tuple[str, ...],
) -> None:
    found = manager(render(EdgeSettings(media_targets=media_targets, mcp_targets=("127.0.0.1:9001",))))

    assert found["request_timeout"] == ("900s" if media_targets else "30s")
    forwards = [
        (each["name"], each["route"])
        for each in found["route_config"]["virtual_hosts"][0]["routes"]
        if "route" in each
    ]
    for name, route in forwards:
        if "/media" in name:
            continue
        seconds = int(route["timeout"].removesuffix("s"))
        assert route["max_stream_duration"] == {"max_stream_duration": f"{seconds + 30}s"}, name
    assert len(forwards) > 30


def test_what_envoy_reads_as_json_is_what_people_read_as_yaml(tmp_path: Path) -> None:
    settings = EdgeSettings(cors_origins=("https://app.example.com",))
    as_json = write_config(settings, tmp_path / "edge.json")
    as_yaml_file = write_config(settings, tmp_path / "edge.yaml")

    assert json.loads(as_json.read_text()) == yaml.safe_load(as_yaml_file.read_text())
    with pytest.raises(json.JSONDecodeError):
        json.loads(as_yaml_file.read_text())
