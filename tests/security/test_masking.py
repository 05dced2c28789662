"""Passwords in links reach neither errors nor lines that are told."""

from __future__ import annotations

import io
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from spot_connect import bash_scripts
from spot_connect.core.errors import ScriptFailed, SpotConnectError, UsageError
from spot_connect.core.masking import masked
from spot_connect.core.repositories import repository
from spot_connect.core.runs import Script
from spot_connect.core.scripts import clone_repo, one_line, update_repo
from spot_connect.runs.live import first_line
from spot_connect.screen.reporter import Screen

SECRET = "tok3n-of-mine"
LINKS = [
    f"https://me:{SECRET}@example.com/a.git",
    f"https://{SECRET}@example.com/a.git",
    f"http://:{SECRET}@10.0.0.1:8080/a.git",
    f"https://me:{SECRET}@[2001:db8::1]:443/a.git",
    f"s3://AKIAXXX:{SECRET}@bucket/prefix",
    f"ssh://git:{SECRET}@example.com/a.git",
    f"https://me:p@{SECRET}@example.com/a.git",
    f"https://me:p/{SECRET}@example.com/a.git",
    f"https://bucket.s3.amazonaws.com/k?X-Amz-Credential={SECRET}&X-Amz-Signature={SECRET}",
    f"https://example.com/a.git?private_token={SECRET}",
    f"https://example.com/login?to=https://me:{SECRET}@example.org/",
]


@pytest.mark.parametrize("link", LINKS)
def test_no_error_shows_a_secret_in_a_link(link):
    for error in (
        SpotConnectError(f"cannot clone {link} to a", f"fatal: {link}", f"try '{link}'"),
        ScriptFailed(f"`git clone {link}` failed on vm1", 128),
    ):
        assert SECRET not in f"{error} {error!r} {error.args} {error.what} {error.said} {error.advice}"
        assert "***" in str(error)


@pytest.mark.parametrize("link", LINKS)
def test_no_line_on_the_screen_shows_a_secret_in_a_link(link):
    stream = io.StringIO()
    screen = Screen(stream=stream)
    screen.note(f"cloning {link}")
    screen.warn(link)
    with screen.step(f"waiting for {link} on vm1"):
        pass
    assert SECRET not in stream.getvalue()
    assert stream.getvalue().count("***") >= 3


@pytest.mark.parametrize("link", LINKS)
def test_a_command_is_called_by_a_name_without_its_secrets(link):
    assert SECRET not in first_line(f"git clone {link} a\nmake")
    assert SECRET not in Script(first_line(f"curl {link}"), b"").name


@given(st.text(min_size=1), st.text(min_size=4))
@example("me", "a/b@c:d")
@example("", "@@@@")
def test_whatever_the_password_is_the_link_is_shown_without_it(user, password):
    word = f"secret{quote(password, safe='')}"
    assert word not in masked(f"cannot clone https://{quote(user, safe='')}:{word}@example.com/a.git: no")


@given(st.text())
def test_text_without_a_link_stays_as_it_is(text):
    assume("://" not in text)
    assert masked(text) == text


@pytest.mark.parametrize(
    "text", ["no server at http://127.0.0.1:8080/x", "ssh://git@example.com/a", "a@b.example", "x://", "://@", "k=v"]
)
def test_what_has_no_secret_stays_as_it_is(text):
    assert masked(text) == text


@given(st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"])), st.text(min_size=1))
def test_a_login_of_a_link_stands_in_no_script(user, password):
    assume(not {"\0", "\r", "\n"}.intersection(password))
    assume(password.isprintable())
    word = f"secret{password}"
    found = repository(f"https://{quote(user, safe='')}:{quote(word, safe='')}@example.com:8443/a.git")
    assert found.login == f"{user}\n{word}\n".encode()
    assert found.link == "https://example.com:8443/a.git"
    assert word not in repr(found) + clone_repo(found, "a") + update_repo("a", "main", found)


@pytest.mark.parametrize("word", ["a%0ab", "a%0Dpassword=x", "a%00"])
def test_a_login_of_several_lines_is_refused_and_not_shown(word):
    with pytest.raises(UsageError) as caught:
        repository(f"https://me:{word}@example.com/a.git")
    assert word not in str(caught.value)


@pytest.mark.parametrize("link", LINKS[:4])
def test_no_login_is_written_into_a_script_that_others_can_read(link):
    with pytest.raises(UsageError, match=r"\*\*\*@") as caught:
        bash_scripts.update_git_repo("repo", repo_link=link)
    assert SECRET not in str(caught.value)


def test_a_refused_value_is_shown_without_its_secrets():
    with pytest.raises(UsageError) as caught:
        one_line("a source", f"https://me:{SECRET}@example.com/\n")
    assert SECRET not in str(caught.value)
