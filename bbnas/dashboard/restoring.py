"""Pictures that a candidate restores: it is trained again, on one core that others need less.

A study keeps figures, not networks. One training runs at a time, in a process of its own; results
stay in memory.
"""

from __future__ import annotations

import io
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bbnas.errors import UserError, why
from bbnas.processes import worker_pool
from bbnas.study import Candidate, Study

if TYPE_CHECKING:
    from bbnas.runs.pictures import Pictures

State = Literal["running", "done", "failed", "busy"]

# Designs whose pictures are kept: a megabyte each.
KEPT = 32
# Side of a picture in HQ pixels: what the proxy protocol scores of an image.
SIDE = 192


@dataclass(frozen=True)
class Picture:
    """One image, restored by each method; ``png`` holds files, ``psnr`` is in dB, ``width`` in
    pixels.
    """

    name: str
    width: int
    png: Mapping[str, bytes]
    psnr: Mapping[str, float]


@dataclass(frozen=True)
class RestoredPictures:
    """The pictures of a candidate, and the mean PSNR (dB) of each method over all images."""

    pictures: tuple[Picture, ...]
    mean_psnr: Mapping[str, float]
    note: str


@dataclass
class Restoration:
    """A training for pictures; ``state`` is ``busy`` where another one runs."""

    state: State
    began: float = 0.0
    seconds: float = 0.0
    restored: RestoredPictures | None = None
    error: str = ""


class Restorations:
    """The jobs of one dashboard. ``data`` names the studies' images; None is the embedded ones."""

    def __init__(self, data: str | None = None) -> None:
        self.data = data
        self._jobs: OrderedDict[tuple[str, ...], Restoration] = OrderedDict()
        self._lock = threading.Lock()

    def job(self, study: Study, candidate: Candidate) -> Restoration | None:
        """What has become of a candidate's pictures; None if nobody asked for them."""
        return self._jobs.get(_key(study, candidate))

    def start(self, study: Study, candidate: Candidate) -> Restoration:
        """Begin to train, unless it was begun already or another one runs."""
        key = _key(study, candidate)
        with self._lock:
            known = self._jobs.get(key)
            if known is not None and known.state != "failed":
                return known
            if any(job.state == "running" for job in self._jobs.values()):
                return Restoration("busy")
            job = self._jobs[key] = Restoration("running", time.monotonic(), expected(candidate))
            while len(self._jobs) > KEPT:
                self._jobs.popitem(last=False)
        alone = replace(study, candidates=(candidate,), references=(), confirmations=())
        threading.Thread(
            target=self._work, args=(job, alone, candidate), name="bbnas-restoring", daemon=True
        ).start()
        return job

    def _work(self, job: Restoration, study: Study, candidate: Candidate) -> None:
        try:
            with worker_pool(1, _step_back, ()) as pool:
                job.restored = pool.submit(restore, study, candidate, self.data).result()
            job.state = "done"
        except BrokenProcessPool:
            job.error, job.state = "its process was killed, perhaps for lack of memory", "failed"
        except UserError as error:
            job.error, job.state = str(error), "failed"
        except Exception as error:  # noqa: BLE001 - shown on the page
            job.error, job.state = f"{type(error).__name__}: {why(error)}", "failed"


def expected(candidate: Candidate) -> float:
    """About how many seconds it takes: the candidate and its full-precision twin, each trained to
    the end of the protocol on one core.
    """
    e = candidate.evaluation
    done = e.rungs[-1][0] if e.status == "stopped" and e.rungs else e.protocol.iterations
    return 2.0 * e.seconds * e.protocol.iterations / max(done, 1)


def restore(study: Study, candidate: Candidate, data: str | None) -> RestoredPictures:
    """The pictures of ``candidate``; called in a process of its own.

    Raises:
        UserError: the images are not the study's.
    """
    from bbnas.data import embedded_name, load_dataset
    from bbnas.runs.pictures import restored_crops

    dataset = load_dataset(embedded_name(study.config.data) if data is None else data)
    if dataset.fingerprint != study.config.data:
        raise UserError(
            f"the study was made with other images ({study.config.data_description}); start "
            "bbnas dashboard --data DIR with the folder of those"
        )
    return _as_files(restored_crops(study, candidate, dataset, "cpu", side=SIDE))


def _as_files(pictures: Pictures) -> RestoredPictures:
    from PIL import Image

    def png(image: object) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="PNG")  # type: ignore[arg-type]
        return buffer.getvalue()

    return RestoredPictures(
        tuple(
            Picture(
                Path(crop.name).stem,
                next(iter(crop.images.values())).shape[1],
                {method: png(image) for method, image in crop.images.items()},
                dict(crop.psnr),
            )
            for crop in pictures.crops
        ),
        dict(pictures.mean_psnr),
        pictures.note,
    )


def _step_back() -> None:
    """Searches on this machine go first."""
    if hasattr(os, "nice"):
        os.nice(10)


def _key(study: Study, candidate: Candidate) -> tuple[str, ...]:
    config = study.config
    return config.task, config.data, repr(config.protocol), candidate.evaluation.design.key
