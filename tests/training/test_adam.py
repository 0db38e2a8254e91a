from __future__ import annotations

import pytest
import torch
from torch import nn

from bbnas.training.adam import Adam


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(5, 7), nn.PReLU(7), nn.Linear(7, 1))
        self.unused = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def test_steps_are_torchs() -> None:
    ours, theirs = Small(), Small()
    adam = Adam(ours.parameters(), (0.9, 0.99))
    torchs = torch.optim.Adam(theirs.parameters(), betas=(0.9, 0.99), foreach=False)
    for step in range(1, 30):
        batch = torch.randn(4, 5)
        for net, zero in ((ours, adam.zero_grad), (theirs, torchs.zero_grad)):
            zero()
            net(batch).square().mean().backward()
        torchs.param_groups[0]["lr"] = 0.1 / step
        adam.step(step, 0.1 / step)
        torchs.step()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)


@pytest.mark.parametrize("factors", [(0.1, 1.0), (1.0, 3.0), (0.1, 3.0)])
def test_groups_have_learning_rates_of_their_own(factors: tuple[float, float]) -> None:
    ours, theirs = Small(), Small()
    slow = [ours.layers[0].bias, *ours.layers[1].parameters()]
    others = [ours.layers[2].weight]
    adam = Adam(ours.parameters(), (0.9, 0.99), zip((slow, others), factors, strict=True))
    named = dict(theirs.named_parameters())
    groups = [
        {"params": [named.pop(name) for name in names], "lr": 0.03 * factor}
        for names, factor in (
            (("layers.0.bias", "layers.1.weight"), factors[0]),
            (("layers.2.weight",), factors[1]),
        )
    ]
    groups.append({"params": list(named.values()), "lr": 0.03})
    torchs = torch.optim.Adam(groups, betas=(0.9, 0.99), foreach=False)
    for step in range(1, 20):
        batch = torch.randn(4, 5)
        for net, zero in ((ours, adam.zero_grad), (theirs, torchs.zero_grad)):
            zero()
            net(batch).square().mean().backward()
        adam.step(step, 0.03)
        torchs.step()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value)


def test_a_parameter_without_gradient_stays() -> None:
    net = Small()
    before = net.unused.weight.clone()
    adam = Adam(net.parameters(), (0.9, 0.99))
    net(torch.randn(4, 5)).sum().backward()
    adam.step(1, 0.1)
    assert torch.equal(net.unused.weight, before)


def test_weights_loaded_later_are_those_that_steps_change() -> None:
    net, other = Small(), Small()
    adam = Adam(net.parameters(), (0.9, 0.99))
    net.load_state_dict({name: value + 1 for name, value in other.state_dict().items()})
    assert torch.equal(adam.flat[:35].view(7, 5), other.layers[0].weight + 1)
    net(torch.randn(4, 5)).sum().backward()
    adam.step(1, 0.1)
    assert not torch.equal(net.layers[0].weight, other.layers[0].weight + 1)
