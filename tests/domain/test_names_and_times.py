"""Instants, zones, ids, text, repetition rules and telephone numbers."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import ids, instants, text
from domain.contact import ContactInvalid, parse_phone
from domain.recurrence import RecurrenceInvalid, check_recurrence

SCID = "QmfGEUAcMpzo25kF2Rhn8L5FAXysfGnkzjwdKoNPi615XQ"
MS = st.integers(min_value=0, max_value=instants.to_ms(datetime(9999, 12, 31, tzinfo=UTC)))


@given(MS)
def test_an_instant_survives_its_spelling(ms: int) -> None:
    moment = instants.from_ms(ms)
    spelled = instants.format_instant(moment)
    assert instants.parse_instant(spelled) == moment
    assert instants.to_ms(instants.read_instant(spelled)) == ms
    assert len(spelled) == 24


@pytest.mark.parametrize(
    ("entered", "utc"),
    [
        ("2026-02-01T07:00:00+07:00", "2026-02-01T00:00:00.000Z"),
        ("2026-02-01t00:00:00z", "2026-02-01T00:00:00.000Z"),
        ("2026-02-01 00:00:00.9871Z", "2026-02-01T00:00:00.987Z"),
        ("2026-01-31T23:59:59.5-01:00", "2026-02-01T00:59:59.500Z"),
    ],
)
def test_any_offset_is_read_and_becomes_utc(entered: str, utc: str) -> None:
    assert instants.format_instant(instants.read_instant(entered)) == utc


@pytest.mark.parametrize(
    "entered",
    [
        "2026-02-01T07:00:00",
        "2026-02-30T07:00:00Z",
        "2026-02-01",
        "2026-02-01T24:00:00Z",
        "2026-02-01T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-10:00",
        "yesterday",
        "",
    ],
)
def test_a_time_nobody_can_place_is_refused(entered: str) -> None:
    with pytest.raises(instants.InstantInvalid):
        instants.read_instant(entered)


@pytest.mark.parametrize(
    "spelled", ["2026-02-01T00:00:00Z", "2026-02-01T00:00:00.000+00:00", "2026-02-01T00:00:00.000Z\n"]
)
def test_signed_bytes_carry_one_spelling_of_an_instant(spelled: str) -> None:
    with pytest.raises(instants.InstantInvalid):
        instants.parse_instant(spelled)


def test_formatting_cuts_and_converts_and_refuses_a_naive_time() -> None:
    jakarta = datetime(2026, 2, 1, 7, 0, 0, 999_999, tzinfo=timezone(timedelta(hours=7)))
    assert instants.format_instant(jakarta) == "2026-02-01T00:00:00.999Z"
    with pytest.raises(ValueError, match="time zone"):
        instants.format_instant(datetime(2026, 2, 1))  # noqa: DTZ001 - the naive time is the case


def test_zones_are_those_of_the_iana_database() -> None:
    instants.check_zone("Asia/Jakarta")
    for wrong in ("Asia/Cipanas", "", "../../etc/passwd", "/etc/localtime", "Asia"):
        with pytest.raises(instants.ZoneUnknown):
            instants.check_zone(wrong)


@given(st.integers(min_value=0, max_value=(1 << 48) - 1), st.binary(min_size=10, max_size=10))
def test_a_uuid7_carries_its_time_version_and_variant(ms: int, random: bytes) -> None:
    made = ids.uuid7(ms, random)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert ids.uuid7_ms(made) == ms
    assert ids.parse_record_id(str(made)) == made


def test_the_uuid7_of_the_rfc_is_reproduced() -> None:
    # RFC 9562, appendix A.6: time 0x017F22E279B0, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F
    random = (0x0CC3).to_bytes(2) + (0x18C4DC0C0C07398F).to_bytes(8)
    assert str(ids.uuid7(0x017F22E279B0, random)) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


def test_a_uuid7_of_impossible_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="48 bits"):
        ids.uuid7(1 << 48, bytes(10))
    with pytest.raises(ValueError, match="random bytes"):
        ids.uuid7(0, bytes(9))


def test_uris_name_records_and_participants() -> None:
    record_id = ids.uuid7(1_700_000_000_000, bytes(10))
    spelled = ids.format_uri(SCID, "need", record_id)
    assert spelled == f"gotong:{SCID}/need/{record_id}"
    assert ids.parse_uri(spelled) == ids.RecordUri(SCID, "need", record_id)
    assert ids.parse_uri(f"gotong:{SCID}") == ids.RecordUri(SCID)
    assert str(ids.RecordUri(SCID, "need", record_id)) == spelled


@pytest.mark.parametrize(
    "spelled",
    [
        "",
        "gotong:",
        f"GOTONG:{SCID}",
        f"gotong:{SCID[:-1]}",
        f"gotong:{SCID}0",
        f"gotong:{SCID}/",
        f"gotong:{SCID}/need",
        f"gotong:{SCID}/Need/017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        f"gotong:{SCID}/need/017F22E2-79b0-7cc3-98c4-dc0c0c07398f",
        f"gotong:{SCID}/need/017f22e2-79b0-4cc3-98c4-dc0c0c07398f",
        f"gotong:{SCID}/need/017f22e2-79b0-7cc3-98c4-dc0c0c07398f\n",
        f"gotong:{SCID}/need/../017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
    ],
)
def test_a_misspelled_uri_is_refused(spelled: str) -> None:
    with pytest.raises(ids.IdMalformed):
        ids.parse_uri(spelled)


def test_typed_text_is_trimmed_and_never_normalised() -> None:
    assert text.short_text("  Buku   bekas\n untuk anak ") == {"lang": "id", "text": "Buku bekas untuk anak"}
    assert text.long_text(" satu\r\ndua\r ", "en") == {"lang": "en", "text": "satu\ndua"}
    assert text.short_text("cafe\u0301")["text"] == "cafe\u0301"


@pytest.mark.parametrize(
    ("words", "lang"),
    [
        ("", "id"),
        ("   ", "id"),
        ("a" * 201, "id"),
        ("nol\x00", "id"),
        ("balik \u202e kanan", "id"),
        ("pisah \u2066 arah", "id"),
        ("bom \ufeff", "id"),
        ("bahasa", "indonesia"),
        ("bahasa", "ID"),
        ("bahasa", "id-id"),
        ("bahasa", ""),
    ],
)
def test_text_that_hides_or_says_nothing_is_refused(words: str, lang: str) -> None:
    with pytest.raises(text.TextInvalid):
        text.short_text(words, lang)


def test_the_best_language_is_picked_and_else_the_authors_own() -> None:
    texts = [{"lang": "id", "text": "air"}, {"lang": "en-GB", "text": "water"}, {"lang": "en", "text": "Water"}]
    assert text.pick(texts, ["en-GB"])["text"] == "water"
    assert text.pick(texts, ["en"])["text"] == "Water"
    assert text.pick(texts, ["en-US"])["text"] == "Water"
    assert text.pick(texts, ["fr", "id-ID"])["text"] == "air"
    assert text.pick(texts, [])["text"] == "air"


@given(st.text(max_size=300), st.integers(min_value=2, max_value=100))
def test_a_shortened_text_fits(words: str, chars_max: int) -> None:
    assert len(text.shorten(words, chars_max)) <= chars_max


def test_a_text_is_cut_at_a_word() -> None:
    assert text.shorten("kami butuh air bersih, segera", 24) == "kami butuh air bersih…"


@pytest.mark.parametrize(
    "rule", ["FREQ=WEEKLY;BYDAY=SU", "FREQ=MONTHLY;BYDAY=2SA,-1SU;COUNT=12", "FREQ=DAILY;UNTIL=20261231"]
)
def test_the_rhythms_of_communities_are_accepted(rule: str) -> None:
    check_recurrence(rule)


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "FREQ=SECONDLY",
        "BYDAY=SU;FREQ=WEEKLY",
        "FREQ=WEEKLY;FREQ=DAILY",
        "FREQ=WEEKLY;COUNT=0",
        "FREQ=WEEKLY;COUNT=2;UNTIL=20261231",
        "FREQ=WEEKLY;BYHOUR=1",
        "FREQ=WEEKLY\n",
        "RRULE:FREQ=WEEKLY",
        "FREQ=WEEKLY;" + "X" * 200,
    ],
)
def test_rhythms_beyond_the_subset_are_refused(rule: str) -> None:
    with pytest.raises(RecurrenceInvalid):
        check_recurrence(rule)


@pytest.mark.parametrize("written", ["0812-3456-7890", "+62 812 3456 7890", "62(812)34567890", "0062 812.3456.7890"])
def test_phone_numbers_are_read_as_indonesians_write_them(written: str) -> None:
    assert parse_phone(written) == "+6281234567890"


@pytest.mark.parametrize("written", ["", "112", "telepon saya", "+0812345678", "08123456789012345"])
def test_what_is_no_phone_number_is_refused_without_repeating_it(written: str) -> None:
    with pytest.raises(ContactInvalid) as caught:
        parse_phone(written)
    assert not written or written not in str(caught.value)
    assert caught.value.details == {}
