"""Networks of others' code, written down here in plain torch, compute the same when imported."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

import bbnas
from bbnas.cli import main
from bbnas.errors import UserError
from bbnas.inference import import_checkpoint, load_checkpoint
from bbnas.inference.foreign import FOREIGN, ForeignNetwork, state_of
from bbnas.networks import build
from bbnas.paper import find_scores
from bbnas.presets import PRESETS, load_design
from bbnas.tasks import get_task


def picture(path: Path) -> None:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (40, 36, 3), dtype=np.uint8)).save(path)


class Move(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))


class Shifted(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pr_bias0, self.pr_bias1 = Move(channels), Move(channels)
        self.pr_prelu = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.pr_prelu(x + self.pr_bias0.bias) + self.pr_bias1.bias


class AuthorsUnit(nn.Module):
    """The authors' BinaryConv2d, and their BinaryUpConv2d with ``up`` above 1."""

    def __init__(self, n: int, out: int, bias: bool = False, up: int = 1) -> None:
        super().__init__()
        self.move0, self.up = Move(n), up
        self.binary_conv = nn.Conv2d(n, out, 3, padding=1, bias=bias)
        self.relu = Shifted(out)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.binary_conv.weight
        scale = weight.abs().mean((1, 2, 3), keepdim=True)
        bits = torch.sign(x + self.move0.bias)
        y = F.conv2d(bits, scale * torch.sign(weight), self.binary_conv.bias, padding=1)
        y = F.pixel_shuffle(self.relu(y), self.up)
        return y + F.interpolate(x, scale_factor=self.up, mode="nearest")


class Block(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(n, n, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x)))


class Pair(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.body = nn.Sequential(AuthorsUnit(n, n), AuthorsUnit(n, n))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class TheirSR(nn.Module):
    """BasicSR's MSRResNet, and the authors' BBCUL and BBCUM."""

    trunk, hr = "body", "conv_hr"

    def __init__(self, scale: int, n: int = 5, blocks: int = 2, binary: str = "", k: float = 1):
        super().__init__()
        self.scale, self.k, self.binary = scale, k, binary
        factors = (2, 2) if scale == 4 else (scale,)
        self.conv_first = nn.Conv2d(3, n, 3, padding=1)
        block = Pair if binary else Block
        setattr(self, self.trunk, nn.Sequential(*(block(n) for _ in range(blocks))))
        self.ups = [f"upconv{number + 1}" for number in range(len(factors))]
        for name, s in zip(self.ups, factors, strict=True):
            wide = n * s**2
            up = AuthorsUnit(n, wide, up=s) if binary == "M" else nn.Conv2d(n, wide, 3, padding=1)
            setattr(self, name, up)
        hr = AuthorsUnit(n, n) if binary == "M" else nn.Conv2d(n, n, 3, padding=1)
        setattr(self, self.hr, hr)
        self.conv_last = nn.Conv2d(n, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.k
        y = getattr(self, self.trunk)(F.leaky_relu(self.conv_first(x), 0.1))
        for name in self.ups:
            y = getattr(self, name)(y)
            if self.binary != "M":
                step = 2 if self.scale == 4 else self.scale
                y = F.leaky_relu(F.pixel_shuffle(y, step), 0.1)
        y = self.conv_last(F.leaky_relu(getattr(self, self.hr)(y), 0.1))
        base = F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return (y + base) / self.k


class TheirKairSR(TheirSR):
    trunk, hr = "recon_trunk", "HRconv"


class TheirDnCNN(nn.Module):
    """``kind``: unit (the authors'), norm (KAIR, trained), merged (after merge_bn), plain."""

    def __init__(self, channels: int, kind: str, bias: bool = True, n: int = 6, depth: int = 3):
        super().__init__()

        def conv(c_in: int, c_out: int) -> nn.Module:
            return nn.Conv2d(c_in, c_out, 3, padding=1, bias=bias)

        layers: list[nn.Module] = [conv(channels, n), nn.ReLU()]
        for _ in range(depth):
            layers += {
                "unit": lambda: [AuthorsUnit(n, n, bias)],
                "norm": lambda: [conv(n, n), nn.BatchNorm2d(n, eps=1e-4), nn.ReLU()],
                "merged": lambda: [conv(n, n), nn.Identity(), nn.ReLU()],
                "plain": lambda: [conv(n, n), nn.ReLU()],
            }[kind]()
        self.model = nn.Sequential(*layers, conv(n, channels))
        self.k = 130 * n / 64 if kind == "unit" else 1.0

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.k
        return (x - self.model(x)) / self.k


def k(n: int) -> float:
    return 130 * n / 64


# Title → preset, task, their network.
THEIRS: dict[str, tuple[str, str, Callable[[], nn.Module]]] = {
    "BasicSR's MSRResNet": ("srresnet", "sr4", lambda: TheirSR(4)),
    "KAIR's MSRResNet1": ("srresnet", "sr2", lambda: TheirKairSR(2)),
    "the authors' BBCU-L": ("bbcu-l", "sr3", lambda: TheirSR(3, binary="L", k=k(5))),
    "the authors' BBCU-M": ("bbcu-m", "sr4", lambda: TheirSR(4, binary="M", k=k(5))),
    "the authors' BBCU DnCNN": ("bbcu", "denoise25", lambda: TheirDnCNN(3, "unit", bias=False)),
    "the authors' BBCU DnCNN-3": ("bbcu", "jpeg10", lambda: TheirDnCNN(1, "unit")),
    "KAIR's DnCNN with BatchNorm": ("dncnn", "denoise15", lambda: TheirDnCNN(3, "norm")),
    "KAIR's DnCNN after merge_bn": ("dncnn", "denoise50", lambda: TheirDnCNN(3, "merged")),
    "KAIR's DnCNN without BatchNorm": ("dncnn3", "jpeg40", lambda: TheirDnCNN(1, "plain")),
}
BY_TITLE = {foreign.title: foreign for foreign in FOREIGN}


def theirs(title: str) -> tuple[str, str, nn.Module]:
    """Their network as after training: nothing is 0."""
    torch.manual_seed(0)
    preset, task, make = THEIRS[title]
    network = make()
    with torch.no_grad():
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            if (tensor.is_floating_point() and tensor.ndim < 4) or "move0" in name:
                tensor.add_(0.3 * torch.rand_like(tensor))
    return preset, task, network.eval()


def test_every_source_is_tested() -> None:
    assert list(BY_TITLE) == list(THEIRS)
    assert len(BY_TITLE) == len(FOREIGN)


@pytest.mark.parametrize("title", THEIRS)
def test_an_imported_network_computes_what_theirs_does(title: str, tmp_path: Path) -> None:
    preset, name, network = theirs(title)
    task = get_task(name)
    torch.save(network.state_dict(), tmp_path / "theirs.pth")
    info = import_checkpoint(tmp_path / "theirs.pth", preset, task, tmp_path / "new.safetensors")
    assert title in info.origin
    assert "theirs.pth" in info.origin
    loaded, found = load_checkpoint(tmp_path / "new.safetensors")
    assert found == info
    lq = torch.rand(2, task.channels, 9, 7, dtype=torch.float64)
    with torch.no_grad():
        expected = network.double()(lq)
        torch.testing.assert_close(loaded.double()(lq), expected, rtol=1e-5, atol=1e-5)
    skip = lq if task.scale == 1 else F.interpolate(lq, scale_factor=task.scale, mode="bilinear")
    assert (expected - skip).abs().max() > 0.01  # the network does something


@pytest.mark.parametrize("title", THEIRS)
def test_names_map_one_to_one_and_a_network_comes_back(title: str, tmp_path: Path) -> None:
    foreign: ForeignNetwork = BY_TITLE[title]
    preset, name, network = theirs(title)
    task = get_task(name)
    torch.save(network.state_dict(), tmp_path / "theirs.pth")
    import_checkpoint(tmp_path / "theirs.pth", preset, task, tmp_path / "a.safetensors")
    ours = load_checkpoint(tmp_path / "a.safetensors")[0]

    pairs = foreign.pairs(ours)
    mine = [pair.ours for pair in pairs]
    assert sorted(mine) == sorted(n for n in ours.state_dict() if not n.endswith("tracked"))
    other = [n for pair in pairs for n in (pair.theirs, pair.folded) if n]
    assert sorted(other) == sorted(n for n in network.state_dict() if not n.endswith("tracked"))

    exported = state_of(ours, foreign)
    network.load_state_dict(exported, strict="norm" not in title.lower())
    torch.save(network.state_dict(), tmp_path / "again.pth")
    import_checkpoint(tmp_path / "again.pth", preset, task, tmp_path / "b.safetensors")
    again = load_checkpoint(tmp_path / "b.safetensors")[0].state_dict()
    for key, tensor in ours.state_dict().items():
        if key.endswith("running_var"):  # ε is added and taken off again
            torch.testing.assert_close(again[key], tensor, rtol=1e-6, atol=0)
        else:
            assert torch.equal(again[key], tensor), key


def test_merged_names_have_no_place_for_statistics() -> None:
    network = build(PRESETS["dncnn3"].replace(width=4, depth=2), get_task("jpeg10"))
    with pytest.raises(ValueError, match="running_var"):
        state_of(network, BY_TITLE["KAIR's DnCNN without BatchNorm"])


@pytest.mark.parametrize("title", ["the authors' BBCU-L", "the authors' BBCU-M"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_every_scale(title: str, scale: int, tmp_path: Path) -> None:
    design = load_design(title[-6:].lower(), get_task(f"sr{scale}")).replace(width=8, depth=4)
    network = build(design, get_task(f"sr{scale}"))
    torch.save(state_of(network, BY_TITLE[title]), tmp_path / "x.pth")
    info = import_checkpoint(
        tmp_path / "x.pth", title[-6:].lower(), get_task(f"sr{scale}"), tmp_path / "y.safetensors"
    )
    assert info.recipe.design == design
    found = load_checkpoint(tmp_path / "y.safetensors")[0].state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in network.state_dict().items())


def sr_state() -> dict[str, Tensor]:
    return dict(theirs("BasicSR's MSRResNet")[2].state_dict())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"params": state},
        lambda state: {"params": {"wrong": torch.zeros(1)}, "params_ema": state},
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: OrderedDict((f"module.{name}", tensor) for name, tensor in state.items()),
        lambda state: {name: tensor.half() for name, tensor in state.items()},
    ],
)
def test_what_a_state_dict_is_wrapped_in(wrap, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    torch.save(wrap(sr_state()), tmp_path / "x.pth")
    import_checkpoint(tmp_path / "x.pth", "srresnet", get_task("sr4"), tmp_path / "y.safetensors")
    found = load_checkpoint(tmp_path / "y.safetensors")[0].head.layer.weight
    torch.testing.assert_close(found, sr_state()["conv_first.weight"], rtol=1e-3, atol=1e-4)
    assert found.dtype == torch.float32


def test_safetensors_and_a_design_of_its_own(tmp_path: Path) -> None:
    save_file(theirs("the authors' BBCU-L")[2].state_dict(), tmp_path / "x.safetensors")
    (tmp_path / "d.yaml").write_text("binarize: [body]\nk_ratio: 2\n")
    info = import_checkpoint(
        tmp_path / "x.safetensors", tmp_path / "d.yaml", get_task("sr3"), tmp_path / "y"
    )
    design = info.recipe.design
    assert (design.width, design.depth, design.k_ratio) == (5, 4, 2)


def without(name: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: state.pop(name)


@pytest.mark.parametrize(
    ("change", "preset", "task", "message"),
    [
        (without("body.1.conv2.weight"), "srresnet", "sr4", r"body\.1\.conv2\.weight is missing"),
        (without("upconv2.bias"), "srresnet", "sr4", r"upconv2\.bias is missing.*\(20,\)"),
        (without("conv_first.weight"), "srresnet", "sr4", r"conv_first\.weight is missing"),
        (
            lambda s: s.update({"conv_hr.weight": torch.zeros(5, 4, 3, 3)}),
            "srresnet",
            "sr4",
            r"conv_hr\.weight is \(5, 4, 3, 3\) and must be \(5, 5, 3, 3\)",
        ),
        (
            lambda s: s.update({"extra.weight\n": torch.zeros(7)}),
            "srresnet",
            "sr4",
            r"extra\.weight.* \(7,\) is too many",
        ),
        (
            lambda s: s.update({"conv_last.bias": torch.zeros(3, dtype=torch.int8)}),
            "srresnet",
            "sr4",
            r"conv_last\.bias is of torch\.int8",
        ),
        (lambda s: None, "srresnet", "sr2", r"'upconv2\.weight' \(20, 5, 3, 3\) is too many"),
        (lambda s: None, "srresnet", "sr3", r"upconv1\.weight is \(20.*must be \(45"),
        (lambda s: None, "bbcu-m", "sr4", r"body\.0\.body\.0\.binary_conv\.weight is missing"),
        (lambda s: None, "dncnn", "denoise25", r"model\.0\.weight is missing"),
        (lambda s: None, "reactnet", "sr4", "choose from .*srresnet.*bbcu-m"),
        (lambda s: s.clear(), "srresnet", "sr4", "no state dict"),
        (lambda s: s.update(epoch=3), "srresnet", "sr4", "'epoch' is int"),
    ],
)
def test_the_first_name_that_differs_is_told(
    change: Callable[[dict[str, Tensor]], object],
    preset: str,
    task: str,
    message: str,
    tmp_path: Path,
) -> None:
    state = sr_state()
    change(state)
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(UserError, match=message) as caught:
        import_checkpoint(tmp_path / "x.pth", preset, get_task(task), tmp_path / "y.safetensors")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "y.safetensors").exists()


def test_a_grey_denoiser_does_not_fit_the_tasks_in_colour(tmp_path: Path) -> None:
    torch.save(TheirDnCNN(1, "plain").state_dict(), tmp_path / "dncnn_25.pth")
    with pytest.raises(UserError, match=r"model\.0\.weight is \(6, 1, 3, 3\)"):
        import_checkpoint(
            tmp_path / "dncnn_25.pth", "dncnn", get_task("denoise25"), tmp_path / "y"
        )


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(Path(os.environ["EVIL"])),)


@pytest.mark.parametrize("legacy", [True, False])
def test_no_object_is_unpickled(
    legacy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVIL", str(tmp_path / "made"))
    torch.save({"params": Evil()}, tmp_path / "x.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UserError, match=r"state_dict\(\)") as caught:
        import_checkpoint(tmp_path / "x.pth", "srresnet", get_task("sr4"), tmp_path / "y")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "made").exists()


def test_files_that_are_none(tmp_path: Path) -> None:
    def fails(name: str, message: str) -> None:
        with pytest.raises(UserError, match=message) as caught:
            import_checkpoint(tmp_path / name, "srresnet", get_task("sr4"), tmp_path / "new")
        assert "\n" not in str(caught.value)

    torch.save(sr_state(), tmp_path / "x.pth")
    content = (tmp_path / "x.pth").read_bytes()
    for number, share in enumerate((0.001, 0.3, 0.9)):
        (tmp_path / f"{number}.pth").write_bytes(content[: int(len(content) * share)])
        fails(f"{number}.pth", "damaged|other objects")
    (tmp_path / "text.pth").write_text("words")
    fails("text.pth", "is a text file")
    picture(tmp_path / "p.png")
    fails("p.png", "is an image")
    import_checkpoint(tmp_path / "x.pth", "srresnet", get_task("sr4"), tmp_path / "own")
    fails("own", "of bbnas already")
    with pytest.raises(UserError, match="file that is read"):
        import_checkpoint(tmp_path / "x.pth", "srresnet", get_task("sr4"), tmp_path / "x.pth")
    assert (tmp_path / "x.pth").read_bytes() == content


def test_the_command_and_what_takes_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"params": theirs("the authors' BBCU-M")[2].state_dict()}, "bbcu.pth")
    Path("images").mkdir()
    picture(Path("images/x.png"))
    command = "import bbcu.pth --as bbcu-m --task sr4 -o new/m.safetensors"
    assert main([*command.split(), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["design"]["width"] == 5
    assert found["origin"].startswith("the authors' BBCU-M: params of bbcu.pth (SHA-256 ")
    assert main(command.split()) == 0
    assert "body+upsampling, BBCU, 5×4" in capsys.readouterr().out

    for then in (
        "evaluate new/m.safetensors --benchmark images",
        "pack new/m.safetensors -o m.bbn",
        "restore images/x.png --model new/m.safetensors -o whole.png",
        "restore images/x.png --model m.bbn -o packed.png",
    ):
        assert main(then.split()) == 0, capsys.readouterr().err
    (scored,), skipped = find_scores("new")
    assert not skipped
    assert "imported from the authors' BBCU-M" in scored.words()
    assert "iterations" not in scored.words()
    assert bbnas.evaluate("new/m.safetensors", None, "images")[-1].psnr == pytest.approx(
        scored.benchmarks["images"].psnr
    )

    assert main(["import", "bbcu.pth", "--as", "srresnet", "-o", "n"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
