from __future__ import annotations

import pytest

from carenet.cli.names import Named, resolve
from carenet.encoding.ids import encode_id, sha256
from carenet.errors import NotFoundError

LEE, LEEDS, ADA = (Named(name, sha256(name.encode())) for name in ("dr-lee", "dr-leeds", "ada"))
KNOWN = [LEE, LEEDS, ADA]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ada", ADA),
        ("a", ADA),
        ("dr-lee", LEE),  # a whole name, though it also starts another one
        ("dr-leed", LEEDS),
        (ADA.text, ADA),
        (LEE.text[:6], LEE),
    ],
)
def test_a_name_an_id_or_the_start_of_one_will_do(typed: str, meant: Named) -> None:
    assert resolve(typed, KNOWN, "participant") == meant


def test_the_start_of_two_names_names_both() -> None:
    with pytest.raises(NotFoundError, match=r"may mean more than one participant: dr-lee, dr-leeds"):
        resolve("dr", KNOWN, "participant")


def test_nothing_names_what_there_is() -> None:
    with pytest.raises(NotFoundError, match=r"no patient is called 'bob'; there are: ada, dr-lee, dr-leeds"):
        resolve("bob", KNOWN, "patient")
    with pytest.raises(NotFoundError, match=r"none is known here"):
        resolve("bob", [], "patient")


def test_an_empty_word_means_nothing() -> None:
    with pytest.raises(NotFoundError):
        resolve("", [ADA], "patient")


def test_two_of_one_name_are_told_apart_by_their_ids() -> None:
    twin = Named("ada", sha256(b"another ada"))
    with pytest.raises(NotFoundError, match=twin.text[:8]):
        resolve("ada", [ADA, twin], "patient")
    assert resolve(twin.text[:8], [ADA, twin], "patient") == twin


def test_two_names_of_one_thing_are_no_ambiguity() -> None:
    alias = Named("adelaide", ADA.id)
    assert resolve("ad", [ADA, alias], "patient") == ADA


def test_a_name_is_preferred_to_the_bare_id_of_the_same_thing() -> None:
    bare = Named("", ADA.id)
    assert resolve(ADA.text[:8], [bare, ADA], "patient") == ADA


def test_a_whole_id_serves_though_nobody_listed_it() -> None:
    stranger = sha256(b"stranger")
    assert resolve(encode_id(stranger), KNOWN, "patient") == Named("", stranger)


def test_a_long_list_of_candidates_is_cut() -> None:
    many = [Named(f"patient-{number:02}", sha256(bytes([number]))) for number in range(20)]
    with pytest.raises(NotFoundError, match=r"patient-11 and 8 more$"):
        resolve("zoe", many, "patient")


def test_what_has_no_name_is_shown_by_the_start_of_its_id() -> None:
    assert Named("", ADA.id).label == f"{ADA.text[:8]}…"
