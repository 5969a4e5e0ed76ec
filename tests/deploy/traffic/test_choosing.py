"""Whose turn it is: shares within chance, stickiness, what moves when weights change."""

import math
import random

import pytest

from descent.deploy.errors import HttpError
from descent.deploy.gateway import Served
from descent.deploy.spec import Split
from descent.deploy.traffic import Chooser

N = 100_000


async def nothing(scope, receive, send):
    raise AssertionError("not called")


SERVED = {name: Served(name, 1, nothing) for name in "abcs"}


def chooser(shares, *, shadow=None, sticky=None, seed=0, find=SERVED.get):
    splits = [Split(name=name, weight=weight) for name, weight in shares.items()]
    if shadow:
        splits.append(Split(name=shadow, weight=0, shadow=True))
    return Chooser(splits, find, sticky_header=sticky, rng=random.Random(seed))


@pytest.mark.parametrize(
    "shares", [{"a": 80, "b": 20}, {"a": 1, "b": 99}, {"a": 33, "b": 33, "c": 34}]
)
@pytest.mark.parametrize("sticky", [False, True])
def test_shares_are_within_three_sigma(shares, sticky):
    choose = chooser(shares)
    keys = (f"user-{i}".encode() for i in range(N))
    picked = [choose.name(key if sticky else None) for key in keys]
    for name, weight in shares.items():
        p = weight / 100
        sigma = math.sqrt(N * p * (1 - p))
        assert abs(picked.count(name) - N * p) < 3 * sigma


def test_a_target_without_weight_is_never_chosen():
    choose = chooser({"a": 100, "b": 0})
    assert {choose.name() for _ in range(1000)} == {"a"}
    assert {choose.name(f"{i}".encode()) for i in range(1000)} == {"a"}


def test_the_same_header_is_the_same_target_in_another_process_too():
    scope = {"headers": [(b"x-user", b"ada")]}
    picked = {chooser({"a": 50, "b": 50}, sticky="X-User", seed=i)(scope).served for i in range(50)}
    assert len(picked) == 1


def test_without_the_header_it_is_chance():
    choose = chooser({"a": 50, "b": 50}, sticky="X-User")
    assert len({choose({"headers": []}).served for _ in range(100)}) == 2


def test_a_change_of_weights_moves_only_those_it_must():
    keys = [f"user-{i}".encode() for i in range(10_000)]
    before = chooser({"a": 50, "b": 20, "c": 15, "d": 15})
    after = chooser({"a": 40, "b": 30, "c": 15, "d": 15})
    moved = [(before.name(key), after.name(key)) for key in keys]
    moved = [(x, y) for x, y in moved if x != y]
    assert all(x == "a" or y == "b" for x, y in moved)  # nobody between c and d, nobody back
    assert 0.05 < len(moved) / len(keys) < 0.16


def test_the_shadow_gets_a_copy_and_no_answer():
    choose = chooser({"a": 100}, shadow="s")
    choice = choose({"headers": []})
    assert (choice.served, choice.shadow) == (SERVED["a"], SERVED["s"])


def test_a_missing_shadow_is_no_mistake_of_the_caller():
    choose = chooser({"a": 100}, shadow="s", find=lambda name: SERVED["a"] if name == "a" else None)
    assert choose({"headers": []}).shadow is None


def test_a_missing_target_is():
    with pytest.raises(HttpError, match="'a' is not ready") as error:
        chooser({"a": 100}, find=lambda name: None)({"headers": []})
    assert error.value.status == 503
