from __future__ import annotations

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


def test_slow_parameters_have_a_learning_rate_of_their_own() -> None:
    ours, theirs = Small(), Small()
    slow = [ours.layers[0].bias, *ours.layers[1].parameters()]
    adam = Adam(ours.parameters(), (0.9, 0.99), slow, 0.1)
    names = ("layers.0.bias", "layers.1.weight")
    named = dict(theirs.named_parameters())
    groups = [
        {"params": [named.pop(name) for name in names], "lr": 0.003},
        {"params": list(named.values()), "lr": 0.03},
    ]
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
