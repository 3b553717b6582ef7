import json

import pytest
from ase.io import read
from stub_model import make_frames

from lodekit.cli.learning_curve import nested_order

TARGETS = ("--targets", "energy")


def test_errors_stand_beside_numbers_of_frames(lodekit, built, train):
    arguments = ("learning-curve", train, "--sizes", "3", "6", "9", *TARGETS)
    status, out, err = lodekit(*arguments, "--validation", train, "--json")
    assert status == 0, err
    curve = json.loads(out)["curve"]
    assert [point["n"] for point in curve] == [3, 6, 9]
    assert all(point["errors"]["energy"]["n"] == 12 for point in curve)
    status, out, _ = lodekit(*arguments, "--validation", train)
    heading, *lines = out.splitlines()[-4:]
    assert heading.split()[:3] == ["frames", "weights", "seconds"]
    assert heading.endswith("energy, meV/atom")
    assert [line.split()[0] for line in lines] == ["3", "6", "9"]


def test_a_fifth_of_the_groups_is_kept(lodekit, built, train):
    options = ("--json", "--plot", "curve.svg", *TARGETS)
    status, out, err = lodekit("learning-curve", train, *options)
    assert status == 0, err
    curve = json.loads(out)["curve"]
    assert curve[-1]["n"] + curve[-1]["errors"]["energy"]["n"] == 12
    with open("curve.svg") as file:
        assert "<svg" in file.read()
    assert "exists already" in lodekit("learning-curve", train, *options)[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sizes", "30"), "--sizes 30: there are 12 frames"),
        (("--plot", "curve.txt"), "ends in .png, .svg, .pdf"),
    ],
)
def test_mistakes_are_one_line(lodekit, built, train, arguments, message):
    validation = ("--validation", train)
    status, _, err = lodekit("learning-curve", train, *TARGETS, *validation, *arguments)
    assert status == 1
    assert message in err


def test_small_sets_are_parts_of_large_ones_with_all_elements(train):
    frames = read(train, ":") + make_frames(3)
    frames[-1].numbers[0] = 9
    order = nested_order(frames)
    assert sorted(order) == list(range(len(frames)))
    assert len(frames) - 1 in order[:3]
    assert nested_order(frames) == order
