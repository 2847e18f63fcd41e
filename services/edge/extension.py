from typing import Any, Final

Config = dict[str, Any]
TYPES: Final = "type.googleapis.com/envoy"


def typed(kind: str, **config: Any) -> Config:
    """Returns the configuration of an Envoy extension; `kind` is its message, without `envoy.`."""
    return {"@type": f"{TYPES}.{kind}", **config}


def named(name: str, kind: str, **config: Any) -> Config:
    """Returns an Envoy extension under a name."""
    return {"name": name, "typed_config": typed(kind, **config)}


def switched(*, on: bool) -> Config:
    """Returns what a route says to a filter that it wants, or does not want, to run."""
    return typed("config.route.v3.FilterConfig", config={}, disabled=not on)


def socket_address(address: str) -> Config:
    """Returns `host:port` as Envoy writes it."""
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}


def header(name: str, value: str) -> Config:
    """Returns the setting of a header, whatever it was before."""
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
