"""Workers that share GPUs: Ray counts them, whether they are there or not."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from quick import Formula

from bbnas.data import Dataset
from bbnas.design import Design
from bbnas.inference import device as devices
from bbnas.protocol import Protocol
from bbnas.runs.executors import TrainingEvaluator, executor, usual_workers
from bbnas.runs.placement import Placement
from bbnas.runs.ray_start import share
from bbnas.runs.ray_tune import RayTune
from bbnas.runs.train_all import Request, train_all
from bbnas.tasks import get_task
from bbnas.threads import available_cores


@pytest.mark.parametrize("gpus", range(1, 9))
@pytest.mark.parametrize("workers", range(2, 20))
def test_all_workers_find_room(workers: int, gpus: int) -> None:
    part = share(workers, range(gpus))
    assert 0 < part <= 1
    assert round(part * 10_000) == pytest.approx(part * 10_000)  # what Ray can count
    assert int(1 / part) * gpus >= workers


@dataclass(frozen=True)
class Sees(Formula):
    """Writes down which GPU its process sees, and waits for a second process to do so."""

    def __call__(self, design: Design, *rest: Any) -> Any:
        seen = Path(self.log).parent / f"{os.getpid()}.seen"
        seen.write_text(str(os.environ.get("CUDA_VISIBLE_DEVICES")))
        deadline = time.monotonic() + 60
        while len(list(seen.parent.glob("*.seen"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        return super().__call__(design, *rest)


@pytest.mark.parametrize(
    ("gpus", "visible", "expected"),
    [((), "", ["None", "None"]), ((0, 1), "", ["0", "1"]), ((1,), "3,5", ["5", "5"])],
)
def test_each_worker_sees_one_of_the_gpus(
    gpus: tuple[int, ...],
    visible: str,
    expected: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    evaluator = Sees(log=str(tmp_path / "log"))
    executor(2, evaluator).close()  # guards Ray, which is imported here already
    workers = RayTune(2, evaluator, Placement(), gpus)
    requests = {w: Request(Design(width=w), evaluator.protocol, str(w)) for w in (3, 4, 5)}
    try:
        train_all(requests, evaluator, None, workers_used=workers)
    finally:
        workers.close()
    assert sorted(seen.read_text() for seen in tmp_path.glob("*.seen")) == expected
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == (visible or None)


def test_a_named_gpu_is_shared_alone(
    dataset: Dataset, quick: Protocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    found = {
        name: TrainingEvaluator(get_task("sr4"), quick, dataset, name)
        for name in ("auto", "cuda", "cuda:1", "cpu")
    }
    assert {name: e.gpus for name, e in found.items()} == {
        "auto": (0, 1), "cuda": (0, 1), "cuda:1": (1,), "cpu": ()
    }  # fmt: skip
    assert [devices.workers_device(name) for name in found] == ["cuda", "cuda", "cuda:1", "cpu"]
    cores = available_cores()
    assert Counter(usual_workers(e) for e in found.values()) == Counter(
        [min(cores, 8), min(cores, 8), min(cores, 4), cores]
    )
    assert usual_workers(Formula()) == cores
    opened = executor(2, found["cuda:1"])
    assert isinstance(opened, RayTune)
    assert opened._gpus == (1,)
    assert opened._evaluate.device == "cuda"  # type: ignore[attr-defined]
