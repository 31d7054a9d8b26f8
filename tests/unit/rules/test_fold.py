from __future__ import annotations

from dataclasses import replace

import pytest

from carenet.encoding.ids import sha256
from carenet.ledger.entry import NO_PREV
from carenet.ledger.hashes import hash_leaf
from carenet.rules.fold import fold, genesis_rows, needs
from carenet.rules.prepare import prepare, scope_of
from carenet.rules.reasons import Reason
from carenet.rules.rows import AcceptedKey, GrantsRow, ParticipantKey, SubjectKey
from carenet.rules.view import View
from carenet.statements.records import RecordValue, encode_record
from tests.support.actors import NOW_S, actor, sign
from tests.support.simulator import Network, fold_again
from tests.support.ward import PARTITION, Ward
from tests.support.world import Message, World

HOUR_MS, MINUTE_MS = 3_600_000, 60_000


@pytest.fixture
def ward() -> Ward:
    return Ward()


def care(ward: Ward, **changes: object) -> Message:
    return ward.world.care(ward.world.clinician, ward.patient, ward.current(), **changes)


# What the genesis seeds.


def test_the_genesis_seeds_every_partition_alike() -> None:
    world = World()
    first, second = genesis_rows(scope_of(world.genesis, 0)), genesis_rows(scope_of(world.genesis, 2))
    assert first == second
    assert first.keys() == {SubjectKey(world.network), ParticipantKey(world.authority.id)} | {
        ParticipantKey(node.id) for node in world.nodes
    }


# Acceptance: chain, tree, time.


def test_an_entry_follows_its_subjects_last_one_and_becomes_the_trees_next_leaf(ward: Ward) -> None:
    before = ward.replica.state.tree.size
    one, two = ward.accept(care(ward)), ward.accept(care(ward))
    assert (one.index, two.index) == (before, before + 1)
    assert two.entry.seq == one.entry.seq + 1
    assert two.entry.prev == hash_leaf(one.entry.encode())
    assert two.entry.digest == two.statement.digest


def test_two_subjects_of_a_partition_have_chains_of_their_own(ward: Ward) -> None:
    other = ward.world.patient(PARTITION, 1)
    ward.accept(care(ward))
    opened = ward.accept(ward.world.open(ward.world.hospital, other, [ward.world.hospital]))
    assert (opened.entry.seq, opened.entry.prev) == (0, NO_PREV)
    assert ward.accept(care(ward)).entry.seq == 3


def test_an_entrys_time_is_the_records_but_never_earlier_than_the_last(ward: Ward) -> None:
    start = ward.world.clock_ms
    ward.world.clock_ms = start + 5000
    assert ward.accept(care(ward)).entry.log_time_ms == start + 5000
    ward.world.clock_ms = start + 1000  # another leader's clock
    accepted = ward.accept(care(ward))
    assert (accepted.entry.log_time_ms, accepted.log_append_time_ms) == (start + 5000, start + 1000)
    assert ward.accept(care(ward)).entry.log_time_ms == start + 5000


def test_a_refused_record_does_not_move_time(ward: Ward) -> None:
    late = care(ward)
    ward.world.clock_ms += 3 * HOUR_MS  # a broker whose clock is wrong for a while
    ward.refuse(late, Reason.TOO_OLD)
    ward.world.clock_ms -= 3 * HOUR_MS
    ward.accept(care(ward))


# Checks in order.


def test_the_same_bytes_again_are_the_one_event(ward: Ward) -> None:
    message = care(ward)
    accepted = ward.accept(message)
    refused = ward.refuse(message, Reason.DUPLICATE)
    assert (refused.winner, refused.digest) == (accepted.statement.digest, accepted.statement.digest)


def test_the_same_bytes_again_are_the_one_event_even_much_later_and_with_another_body(ward: Ward) -> None:
    message = care(ward)
    ward.accept(message)
    ward.world.clock_ms += 100 * HOUR_MS
    ward.refuse(message, Reason.DUPLICATE)
    ward.refuse(replace(message, body=b"another"), Reason.DUPLICATE)
    ward.refuse(replace(message, body=None), Reason.DUPLICATE)


def test_a_statement_that_was_refused_before_is_judged_anew(ward: Ward) -> None:
    newcomer = actor("newcomer")
    message = ward.world.care(newcomer, ward.patient, ward.current())
    ward.refuse(message, Reason.UNKNOWN_SIGNER)
    ward.accept(ward.world.admit(ward.world.authority, newcomer, ["lab"]))
    ward.accept(message)
    ward.refuse(message, Reason.DUPLICATE)


def test_a_stranger_writes_nothing(ward: Ward) -> None:
    ward.refuse(ward.world.care(ward.world.stranger, ward.patient, ward.current()), Reason.UNKNOWN_SIGNER)


def test_a_key_counts_in_a_partition_only_after_the_relay(ward: Ward) -> None:
    newcomer = actor("newcomer")
    ward.net.publish(ward.world.admit(ward.world.authority, newcomer, ["lab"]))
    message = ward.world.care(newcomer, ward.patient, ward.current())
    ward.refuse(message, Reason.UNKNOWN_SIGNER)
    ward.net.relay_all()
    ward.accept(message)


def test_a_suspended_signer_writes_nothing(ward: Ward) -> None:
    ward.accept(ward.world.suspend(ward.world.authority, ward.world.lab))
    ward.refuse(ward.world.care(ward.world.lab, ward.patient, ward.current()), Reason.SUSPENDED)


def test_members_fall_with_their_organisation(ward: Ward) -> None:
    ward.accept(ward.world.suspend(ward.world.authority, ward.world.hospital))
    ward.refuse(care(ward), Reason.SUSPENDED)


def test_a_key_that_was_rotated_away_signs_nothing(ward: Ward) -> None:
    old = ward.world.clinician
    new = old.with_key("clinician's second key")
    ward.accept(ward.world.rotate(old, old, new))
    ward.refuse(ward.world.care(old, ward.patient, ward.current()), Reason.STALE_KEY)
    ward.accept(ward.world.care(new, ward.patient, ward.current()))


def test_anothers_kid_is_refused(ward: Ward) -> None:
    # Issued in the clinician's name, signed and named with the nurse's key.
    posing = replace(ward.world.nurse, id=ward.world.clinician.id)
    ward.refuse(ward.world.care(posing, ward.patient, ward.current()), Reason.WRONG_KID)


def test_a_forged_signature_is_refused(ward: Ward) -> None:
    message = care(ward)
    encoded = message.statement.encoded
    for forged in (encoded[:-1] + bytes([encoded[-1] ^ 1]), encoded[:-64] + bytes(64)):
        value = encode_record(RecordValue(forged, message.body))
        refused = ward.refuse_record(PARTITION, message.key, value, Reason.BAD_SIGNATURE)
        assert not refused.is_proven


def test_a_statement_is_fresh_from_an_hour_ago_to_five_minutes_ahead(ward: Ward) -> None:
    now_s = ward.world.clock_ms // 1000
    ward.refuse(care(ward, iat_s=now_s - 3601), Reason.TOO_OLD)
    ward.accept(care(ward, iat_s=now_s - 3600))
    ward.accept(care(ward, iat_s=now_s + 300))
    ward.refuse(care(ward, iat_s=now_s + 301), Reason.FUTURE)
    ward.refuse(care(ward, iat_s=2**53 - 1), Reason.FUTURE)
    ward.refuse(care(ward, iat_s=0), Reason.TOO_OLD)


def test_freshness_is_judged_by_the_logs_time_where_that_is_later_than_the_brokers(ward: Ward) -> None:
    ward.world.clock_ms += 2 * HOUR_MS
    ward.accept(care(ward))
    ward.world.clock_ms -= 2 * HOUR_MS
    ward.refuse(care(ward), Reason.TOO_OLD)


def test_a_missing_body_is_refused(ward: Ward) -> None:
    ward.refuse(replace(care(ward), body=None), Reason.BODY_MISSING)


def test_anothers_body_is_refused(ward: Ward) -> None:
    refused = ward.refuse(replace(care(ward), body=care(ward).body), Reason.BODY_MISMATCH)
    assert refused.detail == "the record's body is not what the statement names"


def test_a_body_that_no_statement_names_is_refused(ward: Ward) -> None:
    message = ward.world.suspend(ward.world.authority, ward.world.lab)
    ward.refuse(replace(message, body=b"body"), Reason.BODY_UNEXPECTED)


def test_one_cti_with_other_content_is_refused_and_names_the_winner(ward: Ward) -> None:
    message = ward.accept(care(ward, tag=b"t" * 16))
    cti = message.statement.header.cti
    for other in (care(ward, cti=cti), care(ward, cti=cti, tag=b"u" * 16)):
        assert ward.refuse(other, Reason.CONFLICTING_ID).winner == message.statement.digest


def test_two_statements_without_tags_are_never_the_same_event(ward: Ward) -> None:
    message = ward.accept(care(ward))
    ward.refuse(care(ward, cti=message.statement.header.cti), Reason.CONFLICTING_ID)


def test_the_same_event_rebuilt_is_known_by_its_tag(ward: Ward) -> None:
    message = ward.accept(care(ward, tag=b"t" * 16))
    rebuilt = care(ward, cti=message.statement.header.cti, tag=b"t" * 16)
    assert rebuilt.statement.digest != message.statement.digest
    assert ward.refuse(rebuilt, Reason.DUPLICATE).winner == message.statement.digest


def test_a_cti_is_its_issuers_and_its_subjects_own(ward: Ward) -> None:
    cti = b"c" * 16
    other = ward.world.patient(PARTITION, 1)
    ward.accept(ward.world.open(ward.world.hospital, other, [ward.world.hospital], write=["clinician"]))
    ward.accept(care(ward, cti=cti))
    ward.accept(ward.world.care(ward.world.lab, ward.patient, ward.current(), cti=cti))
    epoch = ward.replica.epochs(other.id)["clinical"][0]
    ward.accept(ward.world.care(ward.world.clinician, other, epoch, cti=cti))


def test_a_refused_statement_does_not_use_up_its_cti(ward: Ward) -> None:
    ward.refuse(care(ward, cti=b"c" * 16, epoch=bytes(16)), Reason.STALE_EPOCH)
    ward.accept(care(ward, cti=b"c" * 16))


def test_an_unknown_patient_is_refused(ward: Ward) -> None:
    unknown = ward.world.patient(PARTITION, 5)
    ward.refuse(ward.world.care(ward.world.clinician, unknown, bytes(16)), Reason.UNKNOWN_SUBJECT)


def test_a_timeline_opens_once(ward: Ward) -> None:
    again = ward.world.open(ward.world.hospital, ward.patient, [ward.world.hospital])
    ward.refuse(again, Reason.SUBJECT_EXISTS)


def test_a_type_of_another_kind_of_subject_is_refused(ward: Ward) -> None:
    world = ward.world
    care_of_network = Message(
        sign(world.lab, world.header(world.lab, "care.observation", world.network, content_type="x"), sha256(b"b")),
        b"b",
    )
    ward.refuse(care_of_network, Reason.UNKNOWN_TYPE)
    ward.refuse(world.control(world.authority, "participant.suspend", ward.patient.id, {}), Reason.UNKNOWN_TYPE)
    ward.refuse(world.control(world.clinician, "rx.issue", ward.patient.id, {}), Reason.UNKNOWN_TYPE)


def test_a_payload_that_breaks_its_model_is_refused(ward: Ward) -> None:
    world = ward.world
    ward.refuse(world.control(world.hospital, "grant.withdraw", ward.patient.id, {}), Reason.BAD_PAYLOAD)
    extra = {"participant": world.lab.id, "why": "words"}
    ward.refuse(world.control(world.authority, "participant.suspend", world.network, extra), Reason.BAD_PAYLOAD)
    unopened = world.patient(PARTITION, 3)
    ward.refuse(world.control(world.hospital, "subject.open", unopened.id, {"kind": "city"}), Reason.BAD_PAYLOAD)


def test_care_data_is_sealed_and_control_statements_are_not(ward: Ward) -> None:
    world = ward.world
    inline = world.control(world.clinician, "care.observation", ward.patient.id, {}, compartment="clinical")
    ward.refuse(inline, Reason.BAD_PAYLOAD)
    ward.refuse(care(ward, type="care.retract"), Reason.BAD_PAYLOAD)
    sealed = world.care(world.hospital, ward.patient, ward.current(), type="grant.withdraw")
    ward.refuse(sealed, Reason.BAD_PAYLOAD)


def test_a_role_that_does_not_allow_the_type_is_refused(ward: Ward) -> None:
    world = ward.world
    ward.refuse(world.care(world.lab, ward.patient, ward.current(), type="care.condition"), Reason.ROLE_FORBIDS)
    ward.refuse(world.open(world.clinician, world.patient(PARTITION, 1), [world.hospital]), Reason.ROLE_FORBIDS)
    ward.refuse(world.suspend(world.clinician, world.lab), Reason.ROLE_FORBIDS)


def test_the_first_failing_check_gives_the_reason(ward: Ward) -> None:
    # Everything is wrong with it; what is mended at the front lets the next fault show.
    everything: dict[str, object] = {"iat_s": 0, "epoch": bytes(16), "compartment": "nowhere", "type": "care.condition"}
    posing = replace(ward.world.nurse, id=ward.world.lab.id)
    epoch = ward.current()
    wrong = replace(ward.world.care(posing, ward.patient, epoch, **everything), body=None)
    ward.refuse(wrong, Reason.WRONG_KID)
    for mended, reason in [
        (None, Reason.TOO_OLD),
        ("iat_s", Reason.ROLE_FORBIDS),
        ("type", Reason.UNKNOWN_COMPARTMENT),
        ("compartment", Reason.STALE_EPOCH),
    ]:
        everything.pop(str(mended), None)
        ward.refuse(ward.world.care(ward.world.lab, ward.patient, epoch, **everything), reason)


# What the publisher is told.


def test_a_proven_signer_is_known_by_its_current_key_alone(ward: Ward) -> None:
    assert ward.refuse(care(ward, iat_s=0), Reason.TOO_OLD).is_proven
    posing = replace(ward.world.nurse, id=ward.world.clinician.id)
    assert not ward.refuse(ward.world.care(posing, ward.patient, ward.current()), Reason.WRONG_KID).is_proven
    assert not ward.refuse(
        ward.world.care(ward.world.stranger, ward.patient, b"e" * 16), Reason.UNKNOWN_SIGNER
    ).is_proven


def test_what_is_told_of_a_refusal_does_not_depend_on_the_batch() -> None:
    ward = Ward()
    message = care(ward)
    ward.net.append(PARTITION, care(ward).key, care(ward).value)
    for key in (b"x", message.key):  # a record under a wrong key is refused before any row is looked at
        ward.net.append(PARTITION, key, message.value)
    log = ward.net.logs[PARTITION]
    whole = fold_again(ward.net, PARTITION, [])
    single = fold_again(ward.net, PARTITION, range(len(log)))
    assert [each.reason for each in whole.rejections] == [Reason.WRONG_KEY]
    assert whole.rejections == single.rejections
    assert whole.rejections[0].is_proven


# Interface to the store.


def test_needs_asks_until_it_has_everything_and_for_nothing_twice(ward: Ward) -> None:
    record = ward.net.append(PARTITION, care(ward).key, care(ward).value)
    prepared = [prepare(record, ward.replica.scope)]
    view = View({})
    asked: list[object] = []
    while missing := needs(prepared, view, ward.replica.scope):
        assert not missing.intersection(asked)
        asked += missing
        view = View(dict(view.loaded) | {key: ward.replica.load(key) for key in missing})
    assert ParticipantKey(ward.world.clinician.id) in asked
    assert ParticipantKey(ward.world.hospital.id) in asked  # a signer leads to its organisation


def test_the_fold_reads_no_row_that_it_did_not_ask_for(ward: Ward) -> None:
    class Strict(dict):
        def get(self, *_: object) -> object:
            raise AssertionError("a default hides a row that was not loaded")

    record = ward.net.append(PARTITION, care(ward).key, care(ward).value)
    prepared = [prepare(record, ward.replica.scope)]
    loaded: dict[object, object] = Strict()
    while missing := needs(prepared, View(loaded), ward.replica.scope):
        loaded.update({key: ward.replica.load(key) for key in missing})
    effects = fold(prepared, View(loaded), ward.replica.state, ward.replica.scope, record.offset + 1)
    assert len(effects.accepted) == 1


def test_the_fold_leaves_its_state_alone(ward: Ward) -> None:
    state = ward.replica.state
    root = state.tree.root()
    ward.accept(care(ward))
    assert (state.tree.root(), state.log_time_ms) == (root, NOW_S * 1000)
    assert ward.replica.state is not state


def test_an_empty_batch_moves_only_the_offset(ward: Ward) -> None:
    before = ward.replica.dump()
    effects = ward.replica.fold([], next_offset=ward.replica.state.next_offset + 7)
    assert ward.replica.dump() == before | {"offset": effects.before + 7}
    assert not effects.is_urgent


def test_offset_gaps_are_legal(ward: Ward) -> None:
    record = ward.net.append(PARTITION, care(ward).key, care(ward).value, offset=1000)
    effects = ward.replica.fold([record])
    assert (effects.accepted[0].offset, effects.state.next_offset) == (1000, 1001)


def test_accepted_rows_are_not_written_since_the_entries_carry_them(ward: Ward) -> None:
    record = ward.net.append(PARTITION, care(ward).key, care(ward).value)
    effects = ward.replica.fold([record])
    assert not [key for key in effects.writes if isinstance(key, AcceptedKey)]
    assert SubjectKey(ward.patient.id) in effects.writes


def test_only_a_network_statement_or_a_new_epoch_is_urgent(ward: Ward) -> None:
    world = ward.world
    urgent = {
        "care": (care(ward), False),
        "share": (world.share(world.hospital, ward.patient, [world.clinician.id], [ward.current()]), False),
        "begin": (world.begin(world.hospital, ward.patient, {"identity": ward.patient.epoch("identity", 1)}), True),
        "open": (world.open(world.hospital, world.patient(PARTITION, 1), [world.hospital]), True),
        "suspend": (world.suspend(world.authority, world.pharmacy), True),
    }
    for name, (message, wanted) in urgent.items():
        partition = world.partition(message.statement.header.subject)
        effects = ward.net.replicas[partition].fold([ward.net.append(partition, message.key, message.value)])
        assert effects.accepted, name
        assert effects.is_urgent == wanted, name


def test_256_entries_make_a_tile() -> None:
    ward = Ward()
    while ward.replica.state.tree.size < 256:
        ward.accept(ward.world.care(ward.world.lab, ward.patient, ward.current()))
    assert ward.replica.tiles.keys() == {(0, 0)}
    assert ward.replica.tiles[0, 0][-32:] == ward.replica.entries[-1].entry.leaf_hash
    assert fold_again(ward.net, PARTITION, [100, 200]).dump() == ward.replica.dump()


def test_one_batch_opens_grants_writes_and_corrects_like_single_records() -> None:
    ward = Ward()
    world, other = ward.world, ward.world.patient(PARTITION, 1)
    epoch = world.open(world.hospital, other, [world.hospital])
    brings = [epoch.statement.control["brings"][0]]
    first = world.care(world.clinician, other, brings[0])
    messages = [
        epoch,
        world.give(
            world.hospital, other, world.clinician, actions=["read", "write"], to=[world.clinician.id], brings=brings
        ),
        first,
        world.care(world.nurse, other, brings[0], replaces=first.statement.digest),
        world.give(world.hospital, other, world.hospital, actions=["write"]),
        world.care(world.nurse, other, brings[0], replaces=first.statement.digest),
        world.care(world.nurse, other, brings[0], replaces=bytes(32)),
    ]
    start = len(ward.net.logs[PARTITION])
    for message in messages:
        ward.net.append(PARTITION, message.key, message.value)
    batch = ward.net.logs[PARTITION][start:]
    together = ward.replica.copy()
    effects = together.fold(batch)
    assert [each.reason for each in effects.rejected] == [Reason.NO_GRANT, Reason.UNKNOWN_REPLACED]
    for record in batch:
        ward.replica.fold([record])
    assert together.dump() == ward.replica.dump()
    assert together.rejections == ward.replica.rejections


def test_a_grant_given_and_withdrawn_in_one_batch_is_written_with_its_end() -> None:
    ward = Ward()
    world = ward.world
    given = world.give(world.hospital, ward.patient, world.pharmacy, actions=["write"])
    ended = world.withdraw(world.hospital, ward.patient, world.pharmacy)
    start = len(ward.net.logs[PARTITION])
    for message in (given, ended):
        ward.net.append(PARTITION, message.key, message.value)
    effects = ward.replica.fold(ward.net.logs[PARTITION][start:])
    (row,) = [row for row in effects.writes.values() if isinstance(row, GrantsRow)]
    (grant,) = [grant for grant in row.grants if grant.grantee == world.pharmacy.id]
    assert (grant.from_seq, grant.to_seq) == (effects.accepted[0].entry.seq, effects.accepted[1].entry.seq)


def test_a_grant_that_was_given_again_in_the_batch_keeps_the_end_of_the_first() -> None:
    ward = Ward()
    world = ward.world
    start = len(ward.net.logs[PARTITION])
    for _ in range(2):
        for message in (
            world.give(world.hospital, ward.patient, world.pharmacy, actions=["write"]),
            world.withdraw(world.hospital, ward.patient, world.pharmacy),
        ):
            ward.net.append(PARTITION, message.key, message.value)
    ward.replica.fold(ward.net.logs[PARTITION][start:])
    assert [(grant.from_seq, grant.to_seq) for grant in ward.grants_of(world.pharmacy)] == [(2, 3), (4, 5)]


def test_a_network_can_be_copied_and_go_its_own_way() -> None:
    ward = Ward()
    twin: Network = ward.net.copy()
    ward.accept(care(ward))
    assert twin.replicas[PARTITION].state.tree.size == ward.replica.state.tree.size - 1
