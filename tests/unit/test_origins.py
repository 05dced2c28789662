"""Which files the stripes of a download come from."""

from __future__ import annotations

import pytest

from spot_connect.transfers.entries import Entry
from spot_connect.transfers.receiving import Origins
from spot_connect.transfers.work import Item, Replaced

ITEM = Item("here", b"there", Entry(b"", "f", 0o644, 100, 5, b""))


def test_a_file_that_grows_is_the_same():
    origins = Origins(set())
    origins.check(ITEM, 1, 5, 100)
    origins.check(ITEM, 1, 6, 101)
    assert not origins.written


def test_a_file_that_is_written_at_the_same_length_is_told_of():
    origins = Origins(set())
    origins.check(ITEM, 1, 5, 100)
    origins.check(ITEM, 1, 6, 100)
    assert origins.written == {ITEM}


def test_another_file_of_that_name_is_refused():
    origins = Origins(set())
    origins.check(ITEM, 1, 5, 100)
    with pytest.raises(Replaced):
        origins.check(ITEM, 2, 6, 100)


def test_what_is_here_already_is_not_gone_on_with_from_a_file_that_has_changed():
    origins = Origins({ITEM})
    origins.check(ITEM, 1, 5, 100)
    with pytest.raises(Replaced):
        origins.check(ITEM, 1, 6, 100)
