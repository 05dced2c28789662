"""Ledgers, hints, settings, pins, profiles and tables that were torn or made up are read as far as they are whole."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spot_connect.core.errors import SpotConnectError, UsageError
from spot_connect.core.profiles import Profile, parse_one, parse_profiles, usual_region
from spot_connect.interruption import files
from spot_connect.interruption.ledger import Run
from spot_connect.store import tables
from spot_connect.store.pins import Pins
from spot_connect.store.profiles import ProfileFile
from spot_connect.store.regions import RegionHints
from spot_connect.store.settings import Settings
from spot_connect.store.ssh_aliases import SshAliases
from spot_connect.store.state import State

LOOSE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
RECORD = {"outcome": "succeeded", "exit_code": 0, "ended": 1795953600.5, "why": "käse \u2028"}
ANYTHING = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([b"[" * 100_000, b'{"a":' * 50_000, b"9" * 10_000, b"1e999", b"\xef\xbb\xbf{}", b"null", b"NaN"]),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=9) | st.integers(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    ).map(lambda value: json.dumps(value).encode()),
)


@pytest.fixture
def run(tmp_path):
    for name in ("attempts/0001", "attempts/0002", "scripts"):
        (tmp_path / "run" / name).mkdir(parents=True)
    return Run(tmp_path / "run")


@pytest.mark.parametrize("cut", range(len(json.dumps(RECORD)) + 1))
def test_a_record_cut_at_any_byte_is_absent_and_the_others_are_whole(run, cut):
    first, second = run.attempts()
    files.write(first.directory / "end.json", RECORD)
    torn = (first.directory / "end.json").read_bytes()[:cut]
    (second.directory / "end.json").write_bytes(torn)
    assert first.end() == RECORD
    assert second.end() in (None, RECORD)
    assert run.outcomes()[0] == "succeeded"


@LOOSE
@given(ANYTHING)
def test_any_record_is_a_mapping_or_absent(run, content):
    attempt = run.attempts()[0]
    for name in ("start.json", "end.json", "heartbeat"):
        (attempt.directory / name).write_bytes(content)
    for name in ("spec.json", "end.json", "stop"):
        (run.directory / name).write_bytes(content)
    for found in (attempt.start(), attempt.end(), run.spec, run.end()):
        assert found is None or isinstance(found, dict)
    assert isinstance(attempt.last_sign(), float)
    assert run.is_to_interrupt() in (True, False)
    assert len(run.outcomes()) == 2


def test_names_that_are_no_numbers_are_no_attempts_and_no_scripts(run):
    for name in ("²", "٣", "1.5", "-1", "9" * 50, "x", " 1", "0003.tmp"):
        (run.directory / "attempts" / name).mkdir()
        (run.directory / "scripts" / f"{name}-evil.sh").write_text("")
    (run.directory / "scripts" / "10-last.sh").write_text("")
    (run.directory / "scripts" / "2-first.sh").write_text("")
    assert [attempt.number for attempt in run.attempts()] == [1, 2]
    assert [path.name for path in run.scripts()] == ["2-first.sh", "10-last.sh"]


def test_a_directory_in_the_place_of_a_record_is_none(run):
    (run.directory / "end.json").mkdir()
    assert run.end() is None


@LOOSE
@given(ANYTHING)
def test_what_the_state_directory_holds_is_read_or_refused_in_one_sentence(tmp_path, content):
    tmp_path.chmod(0o700)
    state = State(tmp_path)
    for name in ("regions.json", "settings.json", "known_hosts", "own-id", "ssh/vm1.conf"):
        state.write_atomic(state.path(name), content)
    hints = RegionHints(state)
    assert all(isinstance(region, str) for region in (*hints.regions(), hints.hint("vm1") or ""))
    for read in (
        lambda: Settings(state).key_directory,
        lambda: Pins(state).read("i-0123456789abcdef0"),
        lambda: SshAliases(state).find("vm1"),
    ):
        assert "\n" not in _refusal(read)


NUMBERS = st.sampled_from(["1e99999999", "1e-99999999", "9" * 5000, "0x" + "f" * 9000, "NaN", "-1", "1e999", "0.05"])
LITERALS = st.one_of(
    NUMBERS,
    NUMBERS.map(repr),
    st.text(max_size=20).map(repr),
    st.sampled_from(
        ["[" * 500 + "]" * 500, "-" * 9000 + "1", "a." * 9000 + "b", "1+" * 9000 + "1", "('a')*10**9", "10**10**10"]
    ),
    st.sampled_from(["__import__('os').system('touch MARKER')", "open('MARKER','w')", "[x for x in (1,)]", "{**{}}"]),
)


@LOOSE
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=200).map(lambda text: text.encode(errors="replace")),
        st.sampled_from([b"[" * 10**6, b"{" * 10**5, b"-" * 10**6 + b"1", b"{'a':" * 9000, b"\x00", b"'" * 9999]),
        st.dictionaries(st.sampled_from(["instance_type", "price", "min_price", "scripts", "region"]), LITERALS).map(
            lambda keys: f"{{'mine': {{{', '.join(f'{key!r}: {value}' for key, value in keys.items())}}}}}".encode()
        ),
    )
)
def test_any_profile_file_is_profiles_or_an_error_that_names_a_line(tmp_path, content):
    tmp_path.chmod(0o700)
    state = State(tmp_path)
    state.write_atomic(state.path("profiles.txt"), content)
    file = ProfileFile(state)
    said = _refusal(file.load)
    if said:
        assert f"{file.own}, line " in said
        return
    found = file.load()
    for name, mapping in found.items():
        written = Profile.from_mapping(name, mapping).to_mapping()
        assert len(str(written["price"])) < 100
        assert len(str(written["min_price"])) < 100
    assert not (tmp_path / "MARKER").exists()


@LOOSE
@given(st.text(max_size=300), st.text(max_size=10))
def test_one_profile_of_any_text_is_read_or_refused(text, name):
    usual_region(text)
    for read in (lambda: parse_one(text, "p.txt", name), lambda: parse_profiles(text, "p.txt")):
        assert "Traceback" not in _refusal(read)


ROWS = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([b'"' * 200_000, b"t3.micro,us-east-1,Linux," + b"9" * 200_000, b"\xff\xfe,", b"t3.micro\n" * 9]),
    st.lists(st.text(max_size=9), max_size=14).map(lambda fields: ",".join(fields).encode(errors="replace")),
    st.lists(st.sampled_from(["", "x", "1e99", "NaN", "-1", '"', "yes", "0.01"]), max_size=12).map(
        lambda fields: ",".join(["t3.micro", "us-east-1", "Linux", *fields]).encode()
    ),
)


@LOOSE
@given(st.lists(ROWS, max_size=5).map(b"\n".join))
def test_any_table_is_rows_or_one_refusal(tmp_path, rows):
    path = tmp_path / "table.csv"
    path.write_bytes(b"head\n" + rows)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_PRICES", "_TYPES", "_IMAGES", "_REGIONS", "_INTERRUPTIONS", "_DATES"):
            patch.setattr(tables, name, path)
        for read in (
            lambda: tables.price("t3.micro", "us-east-1"),
            lambda: list(tables.prices_in("us-east-1")),
            lambda: list(tables.prices_of(["t3.micro"], ["us-east-1"])),
            lambda: tables.type_row("t3.micro"),
            lambda: list(tables.types()),
            lambda: tables.architecture("t3.micro"),
            lambda: tables.image_by_id("us-east-1"),
            lambda: list(tables.images("us-east-1")),
            tables.regions,
            lambda: tables.interruption("t3.micro", "us-east-1"),
            tables.prices_date,
        ):
            assert "\n" not in _refusal(read)


def test_a_price_that_would_fill_the_memory_is_none():
    for text in ("1e99999999", "1e-99999999", Decimal("1e99999999")):
        for key in ("price", "min_price"):
            with pytest.raises(UsageError, match="is not a price"):
                Profile.from_mapping("mine", {"instance_type": "t3.micro", key: text})


def _refusal(read) -> str:
    try:
        read()
    except SpotConnectError as error:
        return str(error)
    return ""
