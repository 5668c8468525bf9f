"""Tests of the count of work."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from training.synth.atlas.cost import CostMeter


def test_kernels_and_bytes_are_counted():
    """A sum of two vectors is one kernel over three; views cost nothing; a lookup reads what it writes."""
    one, table = torch.ones(10), torch.zeros(1000)
    with CostMeter() as meter:
        half = (one + one)[:5]
    assert (meter.kernels, meter.bytes) == (1, 3 * 40)
    with CostMeter() as meter:
        found = table[half.long()]
    assert found.shape == (5,)
    assert (meter.kernels, meter.bytes) == (2, (20 + 40) + 2 * 20)
