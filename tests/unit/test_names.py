import pytest

from spot_connect.core.errors import UsageError
from spot_connect.core.names import file_name, instance_name, is_instance_id, key_pair_name, security_group_name


@pytest.mark.parametrize("name", ["vm1", "my vm", "a/b", "x" * 220])
def test_what_ec2_takes_is_a_name(name):
    assert instance_name(name) == name


@pytest.mark.parametrize("name", ["", " vm1", "vm1 ", "vm\n1", "ümlaut", "x" * 221, "/" * 80, "a'b", "a|b"])
def test_what_ec2_refuses_is_refused_here(name):
    with pytest.raises(UsageError, match="not an instance name"):
        instance_name(name)


def test_derived_names():
    assert key_pair_name("vm1") == "KP-vm1"
    assert security_group_name("vm1") == "SG-vm1"


def test_file_names_hold_no_separators_and_never_clash():
    names = ["a/b", "a\\b", "a:b", "a%2Fb", "a b"]
    files = [file_name(name) for name in names]
    assert len(set(files)) == len(names)
    assert not any(set(file) & set("/\\:") for file in files)


@pytest.mark.parametrize("name", ["i-12345678", "i-0123456789abcdef0"])
def test_an_instance_id_is_told_from_a_name(name):
    assert is_instance_id(name)


@pytest.mark.parametrize("name", ["i-notebook", "i-0123", "vm1", "i-0123456789ABCDEF0"])
def test_a_name_that_only_begins_like_an_id_is_a_name(name):
    assert not is_instance_id(name)
