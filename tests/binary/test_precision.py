"""Training in bf16: what is rounded, and what is not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bbnas.binary import BinaryConv2d, FullConv2d, Unit
from bbnas.binary.kernels import native
from bbnas.binary.precision import EXACT, computing_in, precision_on
from bbnas.design import Design
from bbnas.networks import build
from bbnas.presets import load_design
from bbnas.tasks import get_task


@pytest.fixture(autouse=True)
def _in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels of the library add in another order than torch."""
    monkeypatch.setenv("BBNAS_ISA", "torch")


@pytest.mark.parametrize("c_in", [5, 64, 227, 240])
def test_a_convolution_of_signs_is_exact(c_in: int) -> None:
    """Sums beyond 256 are no numbers of bfloat16, and those of 240 channels none of float16."""
    torch.manual_seed(0)
    conv = BinaryConv2d(c_in, 4, weights="sign")
    x = torch.rand(1, c_in, 5, 6) - 0.1  # most signs agree, so sums are large
    with torch.no_grad():
        conv.weight.abs_()
    expected = conv(x).detach()
    with computing_in("bf16"):
        assert torch.equal(conv(x), expected)
        with torch.no_grad():
            assert torch.equal(conv(x), expected)
    assert float(expected.abs().max()) > min(256, 4 * c_in)
    assert torch.arange(EXACT + 2).half().int()[-2:].tolist() == [EXACT, EXACT]


def test_bfloat16_rounds_a_convolution_once_and_its_bias_not_at_all() -> None:
    torch.manual_seed(0)
    conv = FullConv2d(8, 6, bias=True)
    x = torch.randn(2, 8, 9, 9)
    rounded, weight = x.bfloat16().double(), conv.weight.detach().bfloat16().double()
    exact = nn.functional.conv2d(rounded, weight, padding=1)
    with computing_in("bf16"):
        y = conv(x)
        assert not torch.equal(y, nn.functional.conv2d(x, conv.weight, conv.bias, padding=1))
    assert y.dtype == torch.float32
    branch = (y - conv.bias.view(1, -1, 1, 1)).double()
    # One rounding to 8 bits, and one when the bias is taken away again.
    assert bool(((branch - exact).abs() <= exact.abs() * 2**-8 + 1e-5).all())


def maps_of(design: Design, task: str, precision: str) -> list[torch.Tensor]:
    """The inputs of all 1-bit convolutions, and the output, of a forward pass in training."""
    torch.manual_seed(0)
    network = build(design, get_task(task))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, BinaryConv2d):  # so that no branch is small beside its stream
                module.weight.copy_(torch.randn_like(module.weight) / 4)
    seen: list[torch.Tensor] = []
    for module in network.modules():
        if isinstance(module, BinaryConv2d):
            module.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    with computing_in(precision):
        seen.append(network(torch.rand(2, network.channels, 12, 12)).detach())
    return seen


@pytest.mark.parametrize("task", ["sr4", "denoise25"])
def test_a_fully_binary_network_has_the_decisions_of_float32(task: str) -> None:
    """All its convolutions are of signs: not one bit of a stream or an output differs."""
    parts = tuple(str(part) for part in get_task(task).parts)
    design = load_design("bbcu-v4", get_task(task)).replace(width=12, depth=4, binarize=parts)
    for plain, reduced in zip(
        maps_of(design, task, "fp32"), maps_of(design, task, "bf16"), strict=True
    ):
        assert reduced.dtype == torch.float32
        assert torch.equal(plain > 0, reduced > 0)
        assert torch.equal(plain, reduced)


@pytest.mark.parametrize("preset", ["bbcu-m", "bbcu-v1", "btm", "irnet", "bam", "srresnet", "ma"])
def test_a_stream_is_rounded_where_a_convolution_enters_it(preset: str) -> None:
    design = load_design(preset).replace(width=12, depth=4)
    plain, reduced = (maps_of(design, "sr4", p) for p in ("fp32", "bf16"))
    assert {tensor.dtype for tensor in reduced} == {torch.float32}
    differ = float((plain[-1] - reduced[-1]).abs().max())
    assert 0 < differ < 0.05 * float(plain[-1].abs().max())


def test_gradients_are_those_of_float32_but_for_rounding() -> None:
    torch.manual_seed(0)
    unit: Unit = Unit(BinaryConv2d(16, 16), activation=nn.ReLU())
    x = torch.randn(2, 16, 8, 8, requires_grad=True)
    gradients = []
    for precision in ("fp32", "bf16"):
        with computing_in(precision):
            out = unit(x, x)
        # Outside the block, as autograd's own threads are.
        gradients.append(torch.autograd.grad(out.square().sum(), [x, *unit.parameters()]))
    for one, other in zip(*gradients, strict=True):
        assert other.dtype == torch.float32
        assert not torch.equal(one, other)
        assert float((one - other).norm() / one.norm()) < 2**-7


def test_the_compiled_kernels_are_of_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BBNAS_ISA")
    x = torch.zeros(1, 3, 4, 4)
    with computing_in("bf16"):
        assert not native(x)
        with computing_in("fp32"):
            before = native(x)
        assert not native(x)
    assert native(x) == before


def test_a_cpu_computes_in_what_the_protocol_names() -> None:
    cpu = torch.device("cpu")
    assert [precision_on(cpu, name) for name in ("fp32", "bf16")] == ["fp32", "bf16"]


def test_torchs_settings_come_back() -> None:
    def settings() -> tuple[bool, ...]:
        cudnn = torch.backends.cudnn
        return cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32

    before = settings()
    with computing_in("fp32", one_shape=True):
        assert settings() == (before[0], True, before[2], False)
        with computing_in("tf32"):
            assert settings() == (before[0], False, before[2], True)
    assert settings() == before
