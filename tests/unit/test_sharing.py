"""One question for all who ask at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from spot_connect.aws.session import Cloud
from spot_connect.aws.together import batches, in_one_call, once
from spot_connect.core.sharing import Shared


class Held:
    """Answers when it is let; remembers what it was asked."""

    def __init__(self):
        self.asked = []
        self.began = threading.Semaphore(0)
        self.let = threading.Semaphore(0)

    def __call__(self, keys):
        self.asked.append(sorted(keys))
        self.began.release()
        assert self.let.acquire(timeout=20)
        return {key: len(self.asked) for key in keys}


def joined(shared, count):
    """Wait until so many wait for the next question."""
    for _ in range(2000):
        if len(shared._next.keys) == count:
            return
        threading.Event().wait(0.005)
    raise AssertionError(f"{shared._next.keys} wait")


def test_who_comes_while_an_answer_is_under_way_shares_the_next_question():
    held = Held()
    shared = Shared(held)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(shared, "a")
        assert held.began.acquire(timeout=20)
        later = {key: pool.submit(shared, key) for key in "abcd"}
        joined(shared, 4)
        held.let.release(2)
        assert first.result() == 1
        # An answer that was under way may be older than the question.
        assert {key: one.result() for key, one in later.items()} == dict.fromkeys("abcd", 2)
    assert held.asked == [["a"], ["a", "b", "c", "d"]]


def test_alone_each_question_is_asked():
    asked = []
    shared = Shared(lambda keys: asked.append(list(keys)) or dict.fromkeys(keys, len(asked)))
    assert [shared("a"), shared("a"), shared("b")] == [1, 2, 3]
    assert asked == [["a"], ["a"], ["b"]]


def test_an_error_is_raised_to_all_who_shared_it_and_not_to_the_next():
    answers = iter([ValueError("refused")])

    def ask(keys):
        for error in answers:
            raise error
        return dict.fromkeys(keys, "yes")

    shared = Shared(ask)
    with pytest.raises(ValueError, match="refused"):
        shared("a")
    assert shared("a") == "yes"


def test_ctrl_c_of_one_leaves_the_others_their_answer():
    held = Held()
    interrupted = []

    def ask(keys):
        told = held(keys)
        if len(held.asked) == 2:
            interrupted.append(threading.get_ident())
            raise KeyboardInterrupt
        return told

    shared = Shared(ask)

    def answered(key):
        try:
            return shared(key)
        except KeyboardInterrupt:
            return "interrupted"

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(answered, "a")
        assert held.began.acquire(timeout=20)
        later = [pool.submit(answered, key) for key in "bc"]
        joined(shared, 2)
        held.let.release(3)
        assert first.result() == 1
        assert sorted(str(one.result()) for one in later) == ["3", "interrupted"]


def test_the_same_call_is_made_once_and_another_is_made_beside_it():
    held = Held()

    @once
    def look(cloud, what, *, closely=False):
        held([f"{cloud.region} {what} {closely}"])
        return what

    cloud = Cloud("us-east-1")
    with ThreadPoolExecutor(8) as pool:
        begun = [pool.submit(look, cloud, "a")]
        assert held.began.acquire(timeout=20)
        begun += [pool.submit(look, cloud, "a") for _ in range(4)]
        others = [
            pool.submit(look, cloud, "b"),
            pool.submit(look, cloud, "a", closely=True),
            pool.submit(look, cloud.in_region("eu-west-1"), "a"),
        ]
        # They do not wait for the first.
        for _ in others:
            assert held.began.acquire(timeout=20)
        held.let.release(5)
        assert [one.result() for one in begun] == ["a"] * 5
        assert [one.result() for one in others] == ["b", "a", "a"]
    assert held.asked.count(["us-east-1 a False"]) <= 2
    assert len(held.asked) <= 5


def test_keys_go_together_in_one_region_and_not_across_two():
    asked = []

    @in_one_call
    def look(cloud, keys):
        """What is told."""
        asked.append((cloud.region, list(keys)))
        return {key: f"{cloud.region} {key}" for key in keys}

    cloud = Cloud("us-east-1")
    assert look(cloud, "a") == "us-east-1 a"
    assert look(cloud.in_region("eu-west-1"), "a") == "eu-west-1 a"
    assert asked == [("us-east-1", ["a"]), ("eu-west-1", ["a"])]
    assert look.__doc__ == "What is told."


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (1, [1]), (200, [200]), (401, [200, 200, 1])])
def test_a_filter_takes_200_values(count, sizes):
    assert [len(batch) for batch in batches([str(number) for number in range(count)])] == sizes
