"""sutils: profiles are loaded, saved, moved and reset as a whole or not at all; workloads are split evenly."""

from __future__ import annotations

import pickle
import stat
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spot_connect import sutils
from spot_connect.core.errors import StateError, UnknownProfile, UsageError
from spot_connect.core.profiles import Profile
from spot_connect.store import tables
from spot_connect.store.profiles import SHIPPED, ProfileFile
from spot_connect.store.state import home, realm
from spot_connect.store.workloads import even_ranges

MINE = {"instance_type": "t3.micro", "region": "us-east-1", "price": "0.0104"}


def own():
    return home() / "profiles.txt"


def save(**profiles):
    sutils.save_profiles({name: {**MINE, **settings} for name, settings in profiles.items()})


def test_the_shipped_profiles_are_there_at_once():
    profiles = sutils.load_profiles()
    assert profiles["t2.micro"]["region"] == "us-east-1"
    assert sutils.default_region() == "us-east-1"
    assert not own().exists()


def test_saved_profiles_are_the_users_own_and_the_old_ones_are_kept():
    before = SHIPPED.read_bytes()
    save(first={})
    save(second={})
    assert list(sutils.load_profiles()) == ["second"]
    assert "'first'" in own().with_name("profiles.txt.bak").read_text()
    assert stat.S_IMODE(own().stat().st_mode) == 0o600
    assert SHIPPED.read_bytes() == before


def test_a_profile_that_cannot_be_read_back_is_not_saved():
    save(mine={})
    with pytest.raises(UsageError, match="unknown key 'prize'"):
        save(mine={"prize": 1})
    assert list(sutils.load_profiles()) == ["mine"]


def test_profiles_of_both_realms_are_the_same():
    save(mine={})
    assert ProfileFile(realm(local=True)).get("mine") == ProfileFile(realm()).get("mine")


def test_one_profile_is_had_without_the_others():
    assert ProfileFile(realm()).get("m5.large").price == Decimal("0.096")
    with pytest.raises(UnknownProfile, match=r"Did you mean m5\.large"):
        ProfileFile(realm()).get("m5.lrge")


def test_a_broken_edit_names_the_users_file_and_line():
    save(mine={})
    own().write_text(own().read_text().replace("'0.0104'", "0,0104"))
    line = own().read_text()[: own().read_text().index("0,0104")].count("\n") + 1
    with pytest.raises(UsageError) as caught:
        sutils.load_profiles()
    assert caught.value.what == f"cannot read {own()}, line {line}"


def test_a_file_saved_by_a_windows_editor_is_read():
    save(mine={})
    own().write_bytes(b"\xef\xbb\xbf" + own().read_bytes().replace(b"\n", b"\r\n"))
    assert ProfileFile(realm()).get("mine").instance_type == "t3.micro"


def test_a_missing_shipped_file_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("spot_connect.store.profiles.SHIPPED", tmp_path / "gone.txt")
    with pytest.raises(StateError, match="Install spot-connect again"):
        sutils.load_profiles()


def image(region, architecture, name="Amazon Linux 2023 AMI (kernel 6.1)"):
    found = tables.image(region, architecture, name)
    assert found
    return found


def test_a_move_changes_images_and_prices_with_the_region():
    sutils.change_default_region("eu-west-1")
    profiles = sutils.load_profiles()
    assert sutils.default_region() == "eu-west-1"
    assert {settings["region"] for settings in profiles.values()} == {"eu-west-1"}
    for name in ("t3.micro", "t4g.micro"):
        row = tables.price(name, "eu-west-1")
        assert profiles[name]["image_id"] == image("eu-west-1", tables.architecture(name)).id
        assert Decimal(profiles[name]["price"]) == row.on_demand
        assert Decimal(profiles[name]["min_price"]) == row.spot


def test_every_image_fits_its_type_and_region_after_any_move():
    for region in ("sa-east-1", "me-south-1"):
        sutils.change_default_region(region)
        for name, settings in sutils.load_profiles().items():
            row = tables.image_by_id(settings["image_id"])
            assert (row.region, row.architecture) == (region, tables.architecture(name))


def test_a_figure_that_no_table_has_becomes_none():
    sutils.change_default_region("ap-east-2")
    profiles = sutils.load_profiles()
    sold = {row.instance_type for row in tables.prices_in("ap-east-2")}
    gone = next(name for name in profiles if name not in sold)
    assert (profiles[gone]["price"], profiles[gone]["min_price"]) == (None, None)
    kept = next(name for name in profiles if name in sold)
    assert (profiles[kept]["price"], profiles[kept]["min_price"] is None) == (None, False)


@pytest.mark.parametrize(
    ("settings", "price"),
    [
        ({"price": None}, None),
        ({"price": "0.0104"}, "0.0114"),
        ({"price": "0.5"}, "0.5"),
        ({"price": "0.0117", "min_price": "0.0039"}, "three times the spot price"),
        ({"price": "0.3", "min_price": "0"}, "0.3"),
        ({"price": "0.3", "min_price": "0.1", "instance_type": "t9.mega"}, "0.3"),
    ],
)
def test_what_a_move_makes_of_a_cap(settings, price):
    save(mine=settings)
    sutils.change_default_region("eu-west-1")
    found = sutils.load_profiles()["mine"]["price"]
    if price == "three times the spot price":
        assert 0 <= Decimal(found) - 3 * tables.spot_price("t3.micro", "eu-west-1") < Decimal("0.0001")
    else:
        assert found == price


def test_a_profile_that_is_there_already_is_left_alone():
    save(there={"region": "eu-west-1", "image_id": "ami-12345678", "price": "9"}, other={})
    before = sutils.load_profiles()["there"]
    sutils.change_default_region("eu-west-1")
    assert sutils.load_profiles()["there"] == before


def test_a_profile_without_an_image_can_move_anywhere():
    save(mine={"image_id": None})
    sutils.change_default_region("eu-west-1")
    assert sutils.load_profiles()["mine"]["image_id"] is None


def test_an_image_of_ones_own_moves_by_its_name():
    name = "Ubuntu Server 24.04 LTS (HVM), SSD Volume Type"
    save(mine={"image_id": "ami-12345678", "image_name": name})
    sutils.change_default_region("eu-west-1")
    assert sutils.load_profiles()["mine"]["image_id"] == image("eu-west-1", "x86_64", name).id


def test_a_move_that_cannot_take_every_image_along_changes_nothing():
    save(good={}, bad={"image_id": "ami-12345678", "image_name": "my own"})
    before = own().read_bytes()
    with pytest.raises(UsageError, match=r"cannot move all profiles to eu-west-1; none was changed.* bad\b"):
        sutils.change_default_region("eu-west-1")
    assert own().read_bytes() == before


def test_an_unknown_region_changes_nothing():
    with pytest.raises(UsageError, match="Did you mean eu-west-1"):
        sutils.change_default_region("eu-wst-1")
    with pytest.raises(UsageError, match="The Regions are af-south-1"):
        sutils.change_default_region("mars")
    assert not own().exists()


def test_an_image_of_the_table_is_given_by_architecture():
    ubuntu = "Ubuntu Server 24.04 LTS (HVM), SSD Volume Type"
    assert sutils.change_default_image(image("us-east-1", "x86_64", ubuntu).id) == ()
    profiles = sutils.load_profiles()
    assert profiles["t4g.nano"]["image_id"] == image("us-east-1", "arm64", ubuntu).id
    assert profiles["t3.nano"]["image_name"] == ubuntu
    assert {settings["username"] for settings in profiles.values()} == {"ubuntu"}


def test_profiles_that_an_image_does_not_fit_stay_and_are_told():
    save(arm={"instance_type": "t4g.nano"}, intel={"instance_type": "t3.nano"}, new={"instance_type": "t9.mega"})
    gpu = image("us-east-1", "x86_64", "ecs-al2023-gpu")
    assert sutils.change_default_image(gpu.id) == ("arm", "new")
    profiles = sutils.load_profiles()
    assert "image_id" not in profiles["arm"]
    assert profiles["intel"]["image_id"] == gpu.id


def test_an_image_of_ones_own_needs_its_architecture():
    save(arm={"instance_type": "t4g.nano"}, intel={}, far={"region": "eu-west-1"})
    with pytest.raises(UsageError, match="architecture='x86_64'"):
        sutils.change_default_image("ami-12345678")
    left = sutils.change_default_image("ami-12345678", architecture="x86_64", image_name="ubuntu for us")
    assert left == ("arm", "far")
    found = sutils.load_profiles()["intel"]
    assert (found["image_id"], found["image_name"], found["username"]) == ("ami-12345678", "ubuntu for us", "ubuntu")


def test_an_image_whose_user_nobody_knows_keeps_the_old_one():
    save(mine={"username": "me"})
    sutils.change_default_image("ami-12345678", architecture="x86_64")
    assert sutils.load_profiles()["mine"]["username"] == "me"


@pytest.mark.parametrize("wrong", ["ami-1", "", "t3.micro"])
def test_what_is_no_image_id_changes_nothing(wrong):
    with pytest.raises(UsageError, match="not an image id"):
        sutils.change_default_image(wrong, architecture="x86_64")
    assert not own().exists()


def test_a_reset_makes_a_profile_of_every_type_and_keeps_those_of_ones_own():
    save(mine={}, **{"t3.micro": {"price": "9"}})
    sutils.reset_profiles(1.5, region="eu-west-1", image="ubuntu-24.04")
    profiles = sutils.load_profiles()
    assert profiles.pop("mine")["region"] == "us-east-1"
    kinds = {kind.instance_type for kind in tables.types() if kind.spot and kind.architecture in ("x86_64", "arm64")}
    assert set(profiles) == {row.instance_type for row in tables.prices_in("eu-west-1")} & kinds
    for name, settings in profiles.items():
        spot = tables.spot_price(name, "eu-west-1")
        assert 0 <= Decimal(settings["price"]) - spot * Decimal("1.5") < Decimal("0.0008")
        assert Decimal(settings["price"]) > Decimal("0.001")
        assert settings["username"] == "ubuntu"
        assert tables.image_by_id(settings["image_id"]).architecture == tables.architecture(name)
        Profile.from_mapping(name, settings)


def test_a_reset_takes_an_image_id_of_any_region():
    sutils.reset_profiles(region="eu-west-1", image=image("us-east-1", "arm64").id)
    assert sutils.load_profiles()["t3.micro"]["image_id"] == image("eu-west-1", "x86_64").id


def test_types_an_image_is_not_made_for_get_amazon_linux():
    sutils.reset_profiles(region="eu-west-1", image="ecs-al2023-gpu")
    profiles = sutils.load_profiles()
    assert profiles["t4g.nano"]["image_id"] == image("eu-west-1", "arm64").id
    assert "GPU" in profiles["g4dn.xlarge"]["image_name"]


@pytest.mark.parametrize("factor", [0.9, 0, -1, float("nan"), float("inf"), "1.15", True])
def test_a_cap_below_the_price_is_refused(factor):
    with pytest.raises(UsageError):
        sutils.reset_profiles(factor, region="eu-west-1", image="ubuntu-24.04")
    assert not own().exists()


def test_an_unknown_image_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match=r"no image 'windows' is known in eu-west-1.*Rocky Linux 9"):
        sutils.reset_profiles(region="eu-west-1", image="windows")


@pytest.mark.parametrize(("given", "missing"), [({}, "region"), ({"region": "eu-west-1"}, "image")])
def test_without_a_terminal_nothing_is_asked(given, missing):
    with pytest.raises(UsageError, match=f"no {missing} was given and there is no terminal"):
        sutils.reset_profiles(**given)
    assert not own().exists()


def answer(monkeypatch, *answers):
    left = list(answers)
    asked = []

    def ask(prompt):
        asked.append(prompt)
        return left.pop(0)

    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    return asked


def test_at_a_terminal_region_and_image_are_asked_for(monkeypatch):
    asked = answer(monkeypatch, "eu-west-1", "Rocky Linux 9")
    sutils.reset_profiles()
    assert "Europe (Ireland)" in asked[0]
    assert "Rocky Linux 9" in asked[1]
    assert sutils.load_profiles()["t3.micro"]["username"] == "rocky"


def test_an_answer_may_be_a_number_or_nothing(monkeypatch):
    asked = answer(monkeypatch, "2", "")
    sutils.reset_profiles()
    assert "[us-east-1]" in asked[0]
    assert sutils.default_region() == list(tables.regions())[1]


def test_a_wrong_answer_changes_nothing(monkeypatch):
    answer(monkeypatch, "99")
    with pytest.raises(UsageError, match="'99' is not a Region"):
        sutils.reset_profiles()
    assert not own().exists()


def test_the_key_directory_can_be_set(tmp_path):
    assert sutils.get_default_kp_dir() == str(home() / "key_pairs")
    sutils.set_default_kp_dir(tmp_path / "k")
    assert sutils.get_default_kp_dir() == str(tmp_path / "k")


def test_a_rehearsal_has_a_key_directory_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("SPOT_CONNECT_LOCAL", "1")
    sutils.set_default_kp_dir(tmp_path / "k")
    assert sutils.get_default_kp_dir() == str(tmp_path / "k")
    monkeypatch.delenv("SPOT_CONNECT_LOCAL")
    assert sutils.get_default_kp_dir() == str(home() / "key_pairs")


def test_a_key_directory_that_is_none_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for directory in ("", tmp_path / "file"):
        with pytest.raises(UsageError):
            sutils.set_default_kp_dir(directory)
    assert sutils.get_default_kp_dir() == str(home() / "key_pairs")


@pytest.mark.parametrize("name", ["s3://my-data", "my-data/2026", "MY_DATA", ""])
def test_what_cannot_be_a_bucket_is_refused_before_a_call(name):
    with pytest.raises(UsageError, match="not a bucket's name"):
        sutils.list_bucket(name)
    with pytest.raises(UsageError, match="not a bucket's name"):
        sutils.delete_from_bucket(name, ["a"])


@given(st.integers(0, 300), st.integers(1, 40))
def test_ranges_are_even_and_complete(length, parts):
    ranges = even_ranges(length, parts)
    sizes = [len(each) for each in ranges]
    assert len(ranges) == min(length, parts)
    assert [item for each in ranges for item in each] == list(range(length))
    assert all(sizes)
    assert not sizes or max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("length", "jobs", "sizes"), [(10, 3, [4, 3, 3]), (7, 4, [2, 2, 2, 1]), (3, 5, [1, 1, 1])])
def test_there_is_a_file_for_each_job_as_far_as_the_workload_goes(tmp_path, length, jobs, sizes):
    paths = sutils.split_workloads(jobs, list(range(length)), tmp_path, "part")
    assert [len(pickle.loads(Path(path).read_bytes())) for path in paths] == sizes


@given(st.lists(st.integers(), max_size=30), st.integers(1, 8))
def test_a_workload_is_split_without_loss(tmp_path_factory, workload, jobs):
    directory = tmp_path_factory.mktemp("work")
    paths = sutils.split_workloads(jobs, workload, directory, "part")
    chunks = [pickle.loads(Path(path).read_bytes()) for path in paths]
    assert paths == [str(directory / f"part_{index}.pickle") for index in range(min(jobs, len(workload)))]
    assert [item for chunk in chunks for item in chunk] == workload


@pytest.mark.parametrize(
    ("workload", "chunks"),
    [
        ((1, 2, 3), [(1, 2), (3,)]),
        ("abc", ["ab", "c"]),
        (range(3), [range(2), range(2, 3)]),
        ({"a": 1, "b": 2, "c": 3}, [{"a": 1, "b": 2}, {"c": 3}]),
        (iter([1, 2, 3]), [[1, 2], [3]]),
        ([], []),
    ],
)
def test_chunks_are_of_the_workloads_own_kind(monkeypatch, tmp_path, workload, chunks):
    monkeypatch.chdir(tmp_path)
    paths = sutils.split_workloads(2, workload)
    assert [pickle.loads(Path(path).read_bytes()) for path in paths] == chunks
    assert sorted(path.name for path in tmp_path.glob("*.pickle")) == [
        f"workload_{n}.pickle" for n in range(len(chunks))
    ]


@pytest.mark.parametrize("jobs", [0, -1, 1.5, "3", True, None])
def test_a_number_of_jobs_that_is_none_is_refused(jobs):
    with pytest.raises(UsageError, match="not a number of jobs"):
        sutils.split_workloads(jobs, [1, 2])


@pytest.mark.parametrize(("workload", "said"), [(5, "cannot be split"), ([lambda: 1], "cannot be pickled")])
def test_a_workload_that_cannot_be_split_is_refused(tmp_path, workload, said):
    with pytest.raises(UsageError, match=said):
        sutils.split_workloads(1, workload, tmp_path)
    assert list(tmp_path.glob("*.pickle")) == []
