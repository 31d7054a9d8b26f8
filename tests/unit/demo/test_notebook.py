from __future__ import annotations

from pathlib import Path

import pytest

from carenet.demo.notebook import Notebook, read_notebook, write_notebook

NETWORK = b"n" * 32


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    kept = Notebook(3, {"dr-lee": "text"})
    write_notebook(tmp_path, NETWORK, kept)
    assert read_notebook(tmp_path, NETWORK) == kept


def test_another_networks_notebook_says_nothing(tmp_path: Path) -> None:
    write_notebook(tmp_path, NETWORK, Notebook(3, {}))
    assert read_notebook(tmp_path, b"m" * 32) == Notebook()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 2}', '{"version": 1, "network": 3}', "\x00"])
def test_a_file_that_is_damaged_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "demo.json").write_text(text, encoding="utf-8")
    assert read_notebook(tmp_path, NETWORK) == Notebook()
