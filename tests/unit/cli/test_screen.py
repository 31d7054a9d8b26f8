from __future__ import annotations

import pytest

from carenet.cli.screen import Screen, plain

EVIL = "\x1b]0;title\x07\x1b[2J\x9b31mred\u202e[bold]"


def test_a_terminal_shows_what_others_wrote_and_does_not_obey_it(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.say(f"a {EVIL}\n\tb")
    screen.note(EVIL)
    screen.table(("column",), [(EVIL,)], "")
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert not set(text) & set("\x1b\x07\x9b\u202e")
        assert "[bold]" in text
    assert "\n\tb" in shown.out


def test_plain_leaves_every_other_letter_alone() -> None:
    assert plain("Ærø \u200c نیم‌فاصله 👩‍⚕️ …") == "Ærø \u200c نیم‌فاصله 👩‍⚕️ …"
