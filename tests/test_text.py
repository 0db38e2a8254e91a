from __future__ import annotations

import math

import pytest

from bbnas.text import count, decibel, duration, interval, listed, plural, share


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.95e9, "3.95 G"),
        (79.2e9, "79.2 G"),
        (146.08e9, "146 G"),
        (51_123, "51.1 K"),
        (999_960, "1.00 M"),
        (1.515e6, "1.51 M"),
        (27, "27"),
        (0, "0"),
        (math.nan, "–"),
    ],
)
def test_count(value, text):
    assert count(value) == text


def test_decibel_uses_a_minus_sign():
    assert decibel(26.714) == "26.71 dB"
    assert decibel(-0.123, sign=True) == "−0.12 dB"
    assert decibel(0.1, sign=True) == "+0.10 dB"
    assert decibel(-0.004, sign=True) == "0.00 dB"
    assert decibel(math.inf) == "–"


def test_duration():
    seconds = (0.4, 45, 89, 90, 12 * 60, 12_000)
    assert [duration(s) for s in seconds] == [
        "0 s",
        "45 s",
        "89 s",
        "2 min",
        "12 min",
        "3 h 20 min",
    ]


def test_words():
    assert interval(-0.051, 0.01) == "−0.05 to +0.01"
    assert [share(x) for x in (0.516, 0.01, 0.001, 0)] == ["52 %", "1 %", "0.1 %", "0.0 %"]
    assert plural(1, "candidate") == "1 candidate"
    assert plural(1200, "candidate") == "1,200 candidates"
    assert [listed(w) for w in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]
