from __future__ import annotations

import json
import socket
from pathlib import Path

from carenet.local.ports import choose_ports, free_port, is_free


def _listen() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", free_port()))
    assert not is_free(listener.getsockname()[1])
    return listener


def test_a_free_port_lies_below_the_ports_of_outgoing_connections() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert all(20_000 <= free_port() < max(lowest, 20_001) for _ in range(20))


def test_the_same_ports_are_chosen_again(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    first = choose_ports(memory, {"a": 0, "b": 0})
    assert len(set(first.values())) == 2
    assert choose_ports(memory, {"a": 0, "b": 0}) == first


def test_a_port_that_is_taken_is_replaced(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    with _listen() as listener:
        taken = listener.getsockname()[1]
        memory.write_text(json.dumps({"a": taken}))
        assert choose_ports(memory, {"a": 0})["a"] != taken


def test_forgetting_chooses_anew(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    first = choose_ports(memory, {"a": 0})
    assert any(choose_ports(memory, {"a": 0}, forget=True) != first for _ in range(3))


def test_an_asked_for_port_wins(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    memory.write_text(json.dumps({"a": 23456, "b": 34567}))
    assert choose_ports(memory, {"a": 34567, "b": 0})["a"] == 34567
    assert json.loads(memory.read_text())["b"] != 34567


def test_a_memory_that_is_garbage_is_no_reason_to_fail(tmp_path: Path) -> None:
    memory = tmp_path / "ports.json"
    for garbage in ("", "[]", "{", '{"a": "x"}', '{"a": -1}', '{"a": 70000}'):
        memory.write_text(garbage)
        assert 0 < choose_ports(memory, {"a": 0})["a"] < 65536
