"""The functions through which everything from the other side goes, for any input at all."""

from __future__ import annotations

import posixpath
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect.core.untrusted import (
    Refused,
    file_name_part,
    host,
    login_name,
    port,
    printable,
)

ANY_TEXT = st.text(st.characters())
"""Surrogates too, which stand for bytes that are not UTF-8."""
DANGEROUS = ("Cc", "Cf", "Cs", "Zl", "Zp")


@given(ANY_TEXT)
def test_shown_text_is_one_line_without_commands_to_the_terminal(text):
    shown = printable(text)
    assert not {unicodedata.category(letter) for letter in shown}.intersection(DANGEROUS)
    assert shown.splitlines() in ([shown], [])


@given(ANY_TEXT)
def test_text_that_is_fit_to_show_is_shown_as_it_is(text):
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize(
    "text", ["\x1b]0;title\x07", "a\nb", "a\rb", "\x9b31m", "\u202etxt.exe", "\u2066x", "a\u2028b", "\u200b", "\x7f"]
)
def test_what_a_terminal_would_obey_is_written_out(text):
    assert printable(text).isascii()
    assert printable(text).isprintable()


@given(st.binary() | st.sampled_from([b"", b".", b"..", b"a/b", b"/", b"/etc/passwd", b"a\0b", b"..\0"]))
def test_a_name_that_is_taken_stays_in_its_directory(name):
    try:
        taken = file_name_part(name)
    except Refused:
        return
    joined = posixpath.normpath(posixpath.join(b"/target", taken))
    assert posixpath.dirname(joined) == b"/target"
    assert b"\0" not in joined


@given(st.binary(min_size=1))
def test_a_name_is_refused_only_for_what_could_lead_elsewhere(name):
    leads_elsewhere = name in (b".", b"..") or b"/" in name or b"\0" in name
    if not leads_elsewhere:
        assert file_name_part(name) == name
        return
    with pytest.raises(Refused) as refused:
        file_name_part(name)
    assert str(refused.value).isprintable()


def test_the_other_separator_of_windows_is_refused_where_it_counts():
    assert file_name_part(b"a\\b") == b"a\\b"
    with pytest.raises(Refused):
        file_name_part(b"a\\b", separators=b"/\\")


@given(ANY_TEXT)
def test_logins_hosts_and_ports_have_nothing_that_ends_a_word(text):
    for check in (login_name, host, port):
        try:
            taken = str(check(text))
        except Refused:
            continue
        assert taken.isascii()
        assert not set(taken) & set(" \t\r\n\0\"'\\%#$`;&|<>(){}*?!~=")
        assert not taken.startswith("-")


@pytest.mark.parametrize("text", ["ec2-user", "ubuntu", "_svc", "Administrator", "a.b"])
def test_real_logins_are_taken(text):
    assert login_name(text) == text


@pytest.mark.parametrize("text", ["", "-oProxyCommand=x", "a b", "ubuntu\nMatch all", "x" * 33, "%h", "ａ"])
def test_other_logins_are_refused(text):
    with pytest.raises(Refused):
        login_name(text)


@pytest.mark.parametrize("text", ["203.0.113.7", "2001:db8::1", "vm.example.com"])
def test_real_hosts_are_taken(text):
    assert host(text) == text


@pytest.mark.parametrize("text", ["", "-oProxyCommand=x", "a b", "h\nProxyCommand x", "a" * 254, "$(id)"])
def test_other_hosts_are_refused(text):
    with pytest.raises(Refused):
        host(text)


@pytest.mark.parametrize("text", ["0", "65536", "-1", " 22", "22\n", "٢٢", "1e3", "99999999999"])
def test_other_ports_are_refused(text):
    with pytest.raises(Refused):
        port(text)


@pytest.mark.parametrize("name", [b"n" * 256, b"n" * 4096])
def test_a_name_that_no_file_system_takes_is_refused(name):
    with pytest.raises(Refused, match="more than 255 bytes"):
        file_name_part(name)
    assert file_name_part(name[:255]) == name[:255]


@pytest.mark.parametrize(
    "name", [b"a\\b", b"C:x", b"f:stream", b"..\\x", b"...", b".. ", b"f.", b"f ", b"NUL", b"con.txt", b"Lpt1 .x"]
)
def test_a_name_that_windows_reads_in_another_way_is_refused_there(name):
    with pytest.raises(Refused):
        file_name_part(name, b"/\\:")
    assert file_name_part(name) == name
