"""Whether one bit is worth it, against a brute force over all rivals."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bbnas.analysis.worth import BEYOND, break_even_words, worth
from tests.helpers.rivals import NOISE, entrant, rivals


def test_a_rival_that_is_worse_is_no_rival() -> None:
    own = entrant("1-bit", 26.0, 100, macs_binary=32e9)
    (one,) = worth(rivals(own, entrant("fp32", 25.5, 10), entrant("fp32", 26.5, 250)))
    assert one.fastest is not None
    assert one.fastest.psnr == 26.5
    assert one.times.value == pytest.approx(2.5)
    assert "takes 2.5 (2.5 to 2.5) times as long" in one.sentence
    assert "1 bit wins in time" in one.sentence


def test_where_one_bit_loses_the_sentence_says_so() -> None:
    own = entrant("1-bit", 26.0, 100, bytes=2000)
    (one,) = worth(rivals(own, entrant("int8", 26.5, 50, bytes=1000)))
    assert one.times.value == pytest.approx(0.5)
    assert "on this machine 1 bit loses in time and bytes" in one.sentence


def test_within_noise_nothing_is_claimed() -> None:
    own = entrant("1-bit", 26.0, 100)
    near = entrant("fp32", 26.0 + BEYOND * NOISE / 2, 80)
    (one,) = worth(rivals(own, near, entrant("fp32", 27.0, 120)))
    assert (one.times.low, one.times.value, one.times.high) == pytest.approx((0.8, 0.8, 1.2))
    assert "neither wins nor loses beyond noise in time" in one.sentence


def test_without_a_rival_that_good_it_asks_for_larger_ones() -> None:
    (one,) = worth(rivals(entrant("1-bit", 26.0, 100), entrant("fp32", 25.0, 10)))
    assert one.fastest is None
    assert math.isinf(one.times.value)
    assert "--size" in one.sentence


def test_break_even_is_the_ratio_at_which_the_times_are_equal() -> None:
    own = entrant("1-bit", 26.0, 100, macs_full=2e9, macs_binary=34e9)
    (one,) = worth(rivals(own, entrant("fp32", 26.5, 50, macs_full=4e9)))
    (even,) = one.break_even
    # On a device of one MAC a second, the design's time at the break-even is the rival's.
    assert 2e9 + 34e9 / even.needed.value == pytest.approx(4e9)
    assert one.devices[0].device.ratios == pytest.approx({"fp32": 12, "int8": 3})
    assert one.devices[0].verdict == "loses"  # 17 needed
    by_title = {on.device.title: on.verdict for on in one.devices}
    assert by_title["FPGA or in-memory array"] == "wins"  # 64


def test_a_rival_of_fewer_macs_than_the_full_precision_part_is_never_beaten() -> None:
    own = entrant("1-bit", 26.0, 100, macs_full=2e9, macs_binary=34e9)
    (one,) = worth(rivals(own, entrant("int8", 26.5, 50, macs_full=1e9)))
    assert math.isinf(one.break_even[0].needed.value)
    assert {on.verdict for on in one.devices if "int8" in on.device.ratios} == {"loses"}
    assert break_even_words(one.break_even[0].needed).startswith("none: ")


def test_break_even_in_bytes_is_the_bits_of_a_weight_at_which_the_files_are_equal() -> None:
    own = entrant("1-bit", 26.0, 100, weights_full=1000, weights_binary=32_000)
    (one,) = worth(rivals(own, entrant("fp32", 26.5, 50, weights_full=5000)))
    (even,) = one.break_even
    assert 1000 + 32_000 / even.weights_needed.value == pytest.approx(5000)


quality = st.floats(25, 27)


@given(quality, st.lists(st.tuples(quality, st.floats(1, 500)), min_size=1, max_size=8))
def test_the_interval_holds_the_ratio_and_better_rivals_take_longer(
    psnr: float, others: list[tuple[float, float]]
) -> None:
    entrants = [entrant("fp32", p, ms) for p, ms in others]
    (one,) = worth(rivals(entrant("1-bit", psnr, 100), *entrants))
    brute = [ms / 100 for p, ms in others if p >= psnr]
    assert one.times.value == pytest.approx(min(brute)) if brute else math.isinf(one.times.value)
    assert one.times.low <= one.times.value <= one.times.high
