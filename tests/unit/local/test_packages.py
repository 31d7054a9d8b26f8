from __future__ import annotations

from pathlib import Path

from carenet.local.packages import PinnedJar, broken_jars, download_bytes, kafka_jars_folder, pinned_jars

_JAR = PinnedJar("a.jar", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")  # SHA-256 of "abc"


def test_a_whole_jar_is_intact(tmp_path: Path) -> None:
    (tmp_path / "a.jar").write_bytes(b"abc")
    assert _JAR.is_intact(tmp_path)


def test_a_truncated_an_altered_and_a_missing_jar_are_found(tmp_path: Path) -> None:
    assert not _JAR.is_intact(tmp_path)
    for content in (b"ab", b"", b"abd", b"abcd"):
        (tmp_path / "a.jar").write_bytes(content)
        assert not _JAR.is_intact(tmp_path)


def test_an_empty_cache_lacks_every_jar(tmp_path: Path) -> None:
    assert broken_jars(tmp_path) == [jar.name for jar in pinned_jars()]


def test_the_pins_name_one_kafka_and_no_jar_that_breaks_it() -> None:
    names = [jar.name for jar in pinned_jars()]
    assert len(names) == len(set(names)) == 46
    assert [name for name in names if name.startswith("kafka-clients")] == ["kafka-clients-4.3.1.jar"]
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in pinned_jars())
    assert 40_000_000 < download_bytes() < 50_000_000


def test_the_folder_names_the_version(tmp_path: Path) -> None:
    assert kafka_jars_folder(tmp_path) == tmp_path / "kafka-4.3.1"
