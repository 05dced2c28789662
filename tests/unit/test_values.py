from datetime import timedelta
from decimal import Decimal

import pytest

from spot_connect.core.errors import UsageError
from spot_connect.core.values import boolean, comma_list, count, gibibytes, instance_id, period, price


@pytest.mark.parametrize("word", ["True", "TRUE", "yes", "1", " true ", True])
def test_yes_in_any_case(word):
    assert boolean(word) is True


@pytest.mark.parametrize("word", ["False", "no", "0", "NO", False])
def test_no_in_any_case(word):
    assert boolean(word) is False


@pytest.mark.parametrize("word", ["", "maybe", "2", "on", "t", "None"])
def test_any_other_word_is_refused_with_the_words_that_work(word):
    with pytest.raises(UsageError, match="True False yes no 1 0"):
        boolean(word)


def test_a_price_is_exact():
    assert price("0.0116") == Decimal("0.0116")


@pytest.mark.parametrize("text", ["", "abc", "-1", "0", "0.001", "NaN", "Infinity", "1,5", "$1"])
def test_what_ec2_would_not_take_as_a_price_is_refused(text):
    with pytest.raises(UsageError, match="US dollars per hour above"):
        price(text)


def test_a_list_keeps_names_with_blanks_and_drives():
    assert comma_list(r"C:\my data\a.txt, b.txt") == (r"C:\my data\a.txt", "b.txt")


@pytest.mark.parametrize("text", ["", "a,", ",a", "a,,b"])
def test_an_empty_part_is_refused(text):
    with pytest.raises(UsageError, match="empty part"):
        comma_list(text)


@pytest.mark.parametrize("text", ["i-0123456789abcdef0", "i-12345678"])
def test_both_forms_of_instance_ids_pass(text):
    assert instance_id(text) == text


@pytest.mark.parametrize("text", ["vm1", "i-", "i-xyz", "i-0123456789ABCDEF0", "sg-12345678"])
def test_what_is_no_instance_id_is_refused(text):
    with pytest.raises(UsageError, match="not an instance id"):
        instance_id(text)


@pytest.mark.parametrize(
    ("text", "hours"), [("1h", 1), ("24h", 24), ("7d", 168), ("90d", 2160), ("2160h", 2160), (" 7D ", 168)]
)
def test_a_period_is_hours_or_days(text, hours):
    assert period(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "7", "d", "0d", "-1d", "1w", "1.5d", "91d", "2161h", "99999d", "7 d", "²d"])
def test_any_other_period_is_refused_with_one_that_works(text):
    with pytest.raises(UsageError, match=r"7d|90d"):
        period(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "many", "1_0", "²", "9999999999"])
def test_what_cannot_be_counted_is_refused(text):
    with pytest.raises(UsageError, match="whole number"):
        count(text)


def test_a_count_is_a_number():
    assert count(" 10 ") == 10


@pytest.mark.parametrize("text", ["", "0", "-1", "32GB", "NaN", "inf"])
def test_what_is_no_amount_of_memory_is_refused(text):
    with pytest.raises(UsageError, match="without a unit"):
        gibibytes(text)


def test_memory_is_exact():
    assert gibibytes("0.5") == Decimal("0.5")
