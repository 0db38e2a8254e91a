from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bbnas.presets import load_design
from bbnas.protocol import PROTOCOLS
from bbnas.tasks import get_task


@pytest.fixture
def write_scores() -> Callable[..., Path]:
    """A file of scores as ``bbnas evaluate`` leaves it beside a checkpoint."""

    def write(
        folder: Path,
        preset: str = "bbcu-l",
        task: str = "sr4",
        benchmarks: dict[str, tuple[float | None, float]] | None = None,
        iteration: int = 300_000,
        protocol: str = "paper",
        images: int = 5,
        date: str = "2026-11-01T10:00:00+00:00",
        stem: str = "best",
        design: dict | None = None,
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        scores = {"Set5": (31.5, 0.885)} if benchmarks is None else benchmarks
        content = {
            "format": 1,
            "checkpoint": f"{stem}.safetensors",
            "design": design or load_design(preset, get_task(task)).canonical().to_dict(),
            "task": task,
            "protocol": PROTOCOLS[protocol].model_dump(mode="json"),
            "iteration": iteration,
            "data": "0123456789abcdef",
            "environment": {"torch": "2.13.0"},
            "benchmarks": {
                name: {
                    "psnr": psnr,
                    "ssim": ssim,
                    "images": images,
                    "fingerprint": "fedcba9876543210",
                    "date": date,
                }
                for name, (psnr, ssim) in scores.items()
            },
        }
        path = folder / f"{stem}.scores.json"
        path.write_text(json.dumps(content))
        return path

    return write
