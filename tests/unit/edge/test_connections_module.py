"""connections.wasm by itself, with a host that has as many connections as it likes."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from wasmtime import Func, FuncType, Instance, Module, Store, ValType, wat2wasm

from services.edge.connections import MODULE

MOST = 3
ROOM = 1024


class Host:
    """What the module asks of Envoy. `closed` are the contexts it closed."""

    def __init__(self, *, most: str = str(MOST), seed: bytes = b"\x01\x02\x03\x04") -> None:
        self.address = ""
        self.seed = seed
        self.most = most.encode()
        self.closings = 0
        self.store = Store()
        module = Module(self.store.engine, MODULE.read_bytes())
        by_name: dict[str | None, tuple[int, Callable[..., int]]] = {
            "proxy_get_property": (4, self._get_property),
            "proxy_get_buffer_bytes": (5, self._get_buffer_bytes),
            "proxy_close_stream": (1, self._close_stream),
            "random_get": (2, self._random_get),
        }
        number = ValType.i32()
        functions = [
            Func(self.store, FuncType([number] * by_name[each.name][0], [number]), by_name[each.name][1])
            for each in module.imports
        ]
        self.exports: Any = Instance(self.store, module, functions).exports(self.store)
        assert self._call("proxy_on_vm_start", 1, 0) == 1
        assert self._call("proxy_on_configure", 1, len(self.most)) == 1

    def connect(self, address: str) -> bool:
        """Whether a new connection of `address` may stay; one that may not is closed at once."""
        self.address, before = address, self.closings
        action = self._call("proxy_on_new_connection", 2)
        assert (action == 1) == (self.closings > before)
        if action:
            self.close(address)
        return not action

    def close(self, address: str) -> None:
        self.address = address
        self._call("proxy_on_downstream_connection_close", 2, 1)

    def _call(self, name: str, *arguments: int) -> Any:
        return self.exports[name](self.store, *arguments)

    def _return(self, text: bytes, at: int, size_at: int) -> int:
        memory = self.exports["memory"]
        room = self._call("proxy_on_memory_allocate", len(text))
        assert room == ROOM
        memory.write(self.store, text, room)
        memory.write(self.store, room.to_bytes(4, "little"), at)
        memory.write(self.store, len(text).to_bytes(4, "little"), size_at)
        return 0

    def _get_property(self, path: int, size: int, at: int, size_at: int) -> int:
        assert bytes(self.exports["memory"].read(self.store, path, path + size)) == b"source\0address\0"
        return self._return(self.address.encode(), at, size_at) if self.address else 1

    def _get_buffer_bytes(self, kind: int, start: int, size: int, at: int, size_at: int) -> int:
        assert (kind, start, size) == (7, 0, len(self.most))
        return self._return(self.most, at, size_at)

    def _close_stream(self, kind: int) -> int:
        assert kind == 2
        self.closings += 1
        return 0

    def _random_get(self, at: int, size: int) -> int:
        assert size == len(self.seed)
        self.exports["memory"].write(self.store, self.seed, at)
        return 0


def test_the_module_is_what_its_text_says() -> None:
    text = MODULE.with_suffix(".wat").read_text(encoding="utf-8")

    assert wat2wasm(text) == MODULE.read_bytes()


@pytest.mark.parametrize("address", ["10.0.0.1:{}", "[2001:db8::1]:{}", "[::1]:{}", ""])
def test_an_address_holds_what_it_may_and_no_more(address: str) -> None:
    host = Host()

    assert [host.connect(address.format(port)) for port in range(5000, 5010)] == [True] * MOST + [False] * 7

    host.close(address.format(5001))
    assert [host.connect(address.format(port)) for port in (5011, 5012)] == [True, False]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("10.0.0.1:1", "10.0.0.2:1", False),
        ("10.0.0.1:1", "10.0.0.10:1", False),
        ("10.0.0.1:1", "10.0.0.1:65535", True),
        ("[2001:db8:1:2:3:4:5:6]:1", "[2001:db8:1:2:9:9:9:9]:1", True),
        ("[2001:db8:1:2:3:4:5:6]:1", "[2001:db8:1:2::1]:1", True),
        ("[2001:db8:1:2:3:4:5:6]:1", "[2001:db8:1:3:3:4:5:6]:1", False),
        ("[2001:db8::1]:1", "[2001:db8::2:3:4:5]:1", True),
        ("[2001:db8::1]:1", "[2001:db9::1]:1", False),
        ("10.0.0.1:1", "[2001:db8::1]:1", False),
    ],
)
def test_an_address_is_one_of_ipv4_or_a_64_of_ipv6(one: str, other: str, *, is_same: bool) -> None:
    host = Host()
    for _ in range(MOST):
        assert host.connect(one)

    assert host.connect(other) != is_same


def test_the_limit_is_read_as_a_number() -> None:
    host = Host(most="1200")

    assert Counter(host.connect("10.0.0.1:1") for _ in range(1300)) == {True: 1200, False: 100}


def test_addresses_rarely_share_a_place_and_which_do_is_chance() -> None:
    def sharing(seed: bytes) -> set[int]:
        host = Host(most="1", seed=seed)
        return {
            number for number in range(2000) if not host.connect(f"10.0.{number // 256}.{number % 256}:1")
        }

    first, second = sharing(b"\x01\x02\x03\x04"), sharing(b"\x99\x88\x77\x66")

    assert len(first) < 100
    assert len(second) < 100
    assert first != second


def test_more_closings_than_connections_free_no_places() -> None:
    host = Host()
    for _ in range(10):
        host.close("10.0.0.1:1")

    assert [host.connect("10.0.0.1:1") for _ in range(MOST + 1)] == [True] * MOST + [False]
