from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shared import BENCHMARKS, needs_benchmarks

from bbnas.data import find_benchmark, load_dataset
from bbnas.data.sets import SETS, check_set, get_set
from bbnas.errors import UserError
from bbnas.tasks import TASKS

Write = Callable[..., Path]
SET5 = ("baby", "bird", "butterfly", "head", "woman")


@pytest.fixture
def set5(folder_of: Write) -> Path:
    """A data root whose Set5 has the right names and sizes."""
    return folder_of(*(f"Set5/{name}.png" for name in SET5), root="data", height=250, width=300)


def test_the_numbers_of_images_are_those_of_the_literature() -> None:
    assert {name: len(known.images) for name, known in SETS.items()} == {
        "DIV2K-train": 800,
        "DIV2K-valid": 100,
        "Set5": 5,
        "Set14": 14,
        "B100": 100,
        "Urban100": 100,
        "Manga109": 109,
        "CBSD68": 68,
        "Kodak24": 24,
        "LIVE1": 29,
        "Classic5": 5,
    }
    for known in SETS.values():
        assert len(set(known.images)) == len(known.images)
    assert set(SETS["CBSD68"].images) < set(SETS["B100"].images)  # both are of BSDS300's test side


def test_every_task_s_benchmarks_are_known_and_every_test_set_is_of_a_task() -> None:
    named = {name for task in TASKS.values() for name in task.benchmarks}
    assert named == {known.name for known in SETS.values() if known.use == "test"}
    assert SETS["Classic5"].tasks == ("jpeg10", "jpeg20", "jpeg30", "jpeg40", "jpeg")
    assert SETS["DIV2K-train"].tasks == tuple(TASKS)


@pytest.mark.parametrize("known", SETS.values(), ids=SETS)
def test_every_set_can_be_fetched_or_says_where_to_ask(known) -> None:
    assert known.page.startswith("http")
    assert known.terms
    if known.source is None:
        assert known.name in {"Manga109", "LIVE1"}
        return
    assert len(known.source.addresses) in {1, len(known.images)}
    assert all(re.fullmatch(r"https://[^\s]+", address) for address in known.source.addresses)
    digits = {"": 0, "md5": 32, "sha256": 64}
    algorithm, _, value = known.source.checksum.partition(":")
    assert re.fullmatch(rf"[0-9a-f]{{{digits[algorithm]}}}", value)
    assert (len(known.source.addresses) == 1) == bool(known.source.checksum)


@needs_benchmarks
@pytest.mark.parametrize("name", ["Set5", "Set14", "CBSD68", "Classic5"])
def test_the_real_sets_are_in_order(name: str) -> None:
    checked = check_set(get_set(name), BENCHMARKS)
    assert checked.problem == ""
    assert checked.ok
    assert checked.found == len(SETS[name].images)


@pytest.mark.parametrize(
    ("asked", "lies"),
    [
        ("BSD100", "B100"),
        ("B100", "BSDS100"),
        ("bsds100", "benchmark/BSD100/HR"),
        ("cbsd68", "CBSD68"),
        ("CBSD68", "BSD68-color/original"),
        ("kodak", "Kodak24"),
        ("Kodak24", "kodak"),
        ("classic5", "Classic5"),
        ("Classic5", "classic5"),
        ("live1", "LIVE1"),
        ("URBAN100", "Urban 100/image_SRF_2"),
        ("DIV2K-valid", "DIV2K_valid_HR"),
        ("div2k_valid_hr", "DIV2K/DIV2K_valid_HR"),
        ("mine", "Mine/GT"),
    ],
)
def test_a_set_is_found_by_any_of_its_names(folder_of: Write, asked: str, lies: str) -> None:
    root = folder_of(f"{lies}/a.png", "elsewhere/b.png", "DIV2K/DIV2K_train_HR/c.png", root="data")
    assert find_benchmark(asked, root).names == ("a.png",)


def test_grey_bsd68_is_not_taken_for_cbsd68(folder_of: Write) -> None:
    root = folder_of("BSD68/test001.png", root="data")
    with pytest.raises(UserError, match="bbnas data fetch CBSD68"):
        find_benchmark("CBSD68", root)


def test_the_given_root_comes_before_the_environment_s(
    folder_of: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BBNAS_DATA", str(folder_of("Set5/a.png", "Set14/c.png", root="one")))
    given = folder_of("Set5/b.png", root="two")
    assert find_benchmark("Set5", given).names == ("b.png",)
    assert find_benchmark("Set14", given).names == ("c.png",)


def test_uncropped_images_come_before_cropped_ones(folder_of: Write) -> None:
    root = folder_of("Set5/GTmod12/a.png", "Set5/original/b.png", "Set5/LRbicx4/c.png")
    assert find_benchmark("Set5", root).names == ("b.png",)


def test_results_of_methods_beside_the_originals_are_not_taken(folder_of: Write) -> None:
    kinds = ("HR", "LR", "bicubic", "SRCNN", "A+")
    root = folder_of(*(f"Set5/image_SRF_2/img_001_SRF_2_{kind}.png" for kind in kinds))
    assert find_benchmark("Set5", root).names == ("img_001_SRF_2_HR.png",)


def test_a_benchmark_that_lacks_images_is_scored_with_a_warning(
    set5: Path, caplog: pytest.LogCaptureFixture
) -> None:
    find_benchmark("Set5", set5)
    assert caplog.text == ""
    (set5 / "Set5" / "baby.png").unlink()
    find_benchmark("Set5", set5)
    assert "4 images where Set5 has 5" in caplog.text


def test_a_set_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="get it by: bbnas data fetch B100"):
        find_benchmark("bsd100", tmp_path)
    with pytest.raises(UserError, match=r"ask for it at http://www.manga109.org/en/"):
        find_benchmark("Manga109", tmp_path)
    with pytest.raises(UserError, match="did you mean 'Urban100'"):
        find_benchmark("Urban10", tmp_path)
    with pytest.raises(UserError, match="did you mean 'Kodak24'"):
        get_set("Kodak42")


def plain(root: Path, names: list[str], size: tuple[int, int]) -> Path:
    """A root with the same grey image under many names."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name == names[0]:
            Image.new("RGB", size, (90, 90, 90)).save(path)
        else:
            shutil.copy(root / names[0], path)
    return root


def test_div2k_as_downloaded_is_in_order_from_both_of_its_roots(tmp_path: Path) -> None:
    names = [f"DIV2K_train_HR/{i:04}.png" for i in range(1, 801)]
    names += [f"DIV2K_valid_HR/{i:04}.png" for i in range(801, 901)]
    root = plain(tmp_path / "DIV2K", names, (2040, 8))
    for given in (root, root.parent):
        assert check_set(SETS["DIV2K-train"], given).problem == ""
        assert check_set(SETS["DIV2K-valid"], given).problem == ""
    (root / names[7]).unlink()
    assert check_set(SETS["DIV2K-train"], root).missing == ("0008",)


def test_what_is_wrong_is_named(set5: Path, photograph: Callable[..., np.ndarray]) -> None:
    folder = set5 / "Set5"
    steps = []
    assert check_set(SETS["Set5"], set5, steps.append).ok
    assert [(step.done, step.total) for step in steps] == [(i, 5) for i in range(1, 6)]

    (folder / "baby.png").unlink()
    (folder / "bird.png").write_bytes((folder / "bird.png").read_bytes()[:900])
    Image.fromarray(photograph(60, 75)).save(folder / "head.png")  # as small as its LQ image
    Image.fromarray(photograph()).save(folder / "lena.png")
    Image.fromarray(photograph(250, 300)).save(folder / "woman.bmp")
    checked = check_set(SETS["Set5"], set5)
    assert not checked.ok
    assert checked.missing == ("baby",)
    assert checked.surplus == ("lena.png", "woman.png")
    ((name, why),) = checked.undecodable
    assert (name, "damaged" in why) == ("bird.png", True)
    assert checked.odd == (("head.png", "75×60"),)
    assert checked.found == 6
    assert checked.problem == "1 cannot be decoded: bird.png"


def test_a_set_that_is_nowhere_is_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = check_set(SETS["Set5"], tmp_path)
    assert (checked.folder, checked.ok, checked.problem) == (None, False, "not there")
    with pytest.raises(UserError, match="no such folder"):
        check_set(SETS["Set5"], tmp_path / "nowhere")
    monkeypatch.delenv("BBNAS_DATA", raising=False)
    with pytest.raises(UserError, match="--data-root"):
        check_set(SETS["Set5"])


@pytest.mark.parametrize(
    "rename",
    [
        lambda i, name: f"{name}_GT.bmp",
        lambda i, name: f"{name.upper()}.PNG",
        lambda i, name: f"img_{i + 1:03}_SRF_4_HR.png",
        lambda i, name: f"{i + 1}.png",
        lambda i, name: f"{i:04}.png",
    ],
)
def test_copies_that_spell_or_number_the_names_are_complete(
    tmp_path: Path, photograph: Callable[..., np.ndarray], rename: Callable[[int, str], str]
) -> None:
    folder = tmp_path / "Set5"
    folder.mkdir()
    for i, name in enumerate(SET5):
        Image.fromarray(photograph(245, 300)).save(folder / rename(i, name))
    assert check_set(SETS["Set5"], tmp_path).ok
    next(folder.iterdir()).unlink()
    assert not check_set(SETS["Set5"], tmp_path).ok


def test_upright_and_cropped_images_fit(tmp_path: Path) -> None:
    names = [f"B100/{name}.png" for name in SETS["B100"].images]
    assert check_set(SETS["B100"], plain(tmp_path / "cropped", names, (312, 480))).ok
    wrong = check_set(SETS["B100"], plain(tmp_path / "other", names, (300, 480)))
    assert len(wrong.odd) == 100


def test_a_data_root_with_div2k_trains_by_its_own_split(folder_of: Write) -> None:
    root = folder_of("DIV2K_train_HR/0001.png", "DIV2K_valid_HR/0801.png", root="DIV2K")
    dataset = load_dataset(root)
    assert dataset.train.names == ("DIV2K_train_HR/0001.png",)
    assert dataset.validation.names == ("DIV2K_valid_HR/0801.png",)
