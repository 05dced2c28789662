import pytest

from spot_connect.core.errors import UsageError
from spot_connect.core.names import file_name, instance_name, key_pair_name, security_group_name


@pytest.mark.parametrize("name", ["vm1", "my vm", "a/b", "x" * 240])
def test_what_ec2_takes_is_a_name(name):
    assert instance_name(name) == name


@pytest.mark.parametrize("name", ["", " vm1", "vm1 ", "vm\n1", "ümlaut", "x" * 241, "a'b", "a|b"])
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
