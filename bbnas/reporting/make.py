"""The report of a study in one call: measure what is missing, then write the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bbnas.analysis import recommend
from bbnas.analysis.recommendation import Recommendation
from bbnas.evaluation import Evaluation, LatencySetting
from bbnas.fidelity import MeasuredFidelity
from bbnas.protocol import Protocol
from bbnas.reporting.page import write_csv, write_page
from bbnas.rivals import rivals_of
from bbnas.store import FIDELITY, Store, open_store, open_study
from bbnas.study import Study
from bbnas.tasks import get_task

if TYPE_CHECKING:
    from bbnas.data import Dataset
    from bbnas.runs.pictures import Pictures

Say = Callable[[str], None]


def report(
    study: Study | str | Path,
    output: str | Path | None = None,
    *,
    storage: str | None = None,
    pick: str = "knee",
    max_ops: float | None = None,
    max_params: float | None = None,
    max_latency: float | None = None,
    repeats: int = 2,
    pictures: bool = True,
    latency: LatencySetting | None = None,
    data: Dataset | str | Path | None = None,
    device: str = "auto",
    csv: str | Path | None = None,
    inline: bool = False,
    on_message: Callable[[str], None] | None = None,
) -> Path:
    """Write the report of a study as an HTML page; return its path.

    ``study`` is a Study, or the name or database of one; ``storage`` is the database where it is
    not the usual one. ``output`` defaults to ``reports/STUDY.html``. ``pick``, ``max_ops``,
    ``max_params`` (plain counts) and ``max_latency`` (seconds) choose the recommended design as
    :func:`bbnas.analysis.recommend` does.

    The recommended design is trained again by the study's protocol, which takes seconds: with
    ``repeats`` other seeds, to measure the noise between seeds, and for ``pictures``, to show what
    it restores. Both need the study's images: ``data`` is a Dataset, or what
    :func:`bbnas.load_dataset` takes; None is the embedded photographs that the study was made
    with. With ``latency``, every candidate without a latency is measured in that setting (or in
    the study's own, if it has one). ``csv`` is a file for the table of all candidates.
    ``inline`` puts plotly.js into the page, which is otherwise written beside it.
    ``on_message`` receives remarks and progress, one line each.

    Raises:
        UserError: the study, the pick or the device does not exist, or a file cannot be written.
    """
    say = on_message or _silent
    if not isinstance(study, Study):
        study = open_study(str(study), storage)
    if latency is not None:
        study = _with_latencies(open_store(storage, study.storage), study, latency, say)
    if csv is not None:
        write_csv(study, csv)
    chosen: Recommendation | None = None
    again: list[Evaluation] = []
    shown: Pictures | None = None
    images = _images(study, data, say if repeats or pictures else _silent)
    if images is not None:
        study = _with_bicubic(study, images)
    if study.own():
        chosen = recommend(study, pick, max_ops, max_params, max_latency)
        if images is not None and (repeats or pictures):
            store = open_store(storage, study.storage)
            again, shown = _trained_again(
                store, study, chosen, repeats, images, pictures=pictures, device=device, say=say
            )
    return write_page(
        study,
        output or Path("reports") / f"{study.config.name}.html",
        pictures=shown,
        repeats=again,
        recommendation=chosen,
        fidelity=known_fidelity(study.config.task, study.config.protocol, study.config.data),
        rivals=rivals_of(study.config.name, get_task(study.config.task), study.config.data, say),
        inline=inline,
    )


def _silent(_: str) -> None:
    pass


def _images(study: Study, data: Dataset | str | Path | None, say: Say) -> Dataset | None:
    """The study's images, or None if others are named."""
    from bbnas.data import embedded_name, load_dataset

    if data is None:
        data = embedded_name(study.config.data)
    dataset = load_dataset(data) if data is None or isinstance(data, str | Path) else data
    if dataset.fingerprint == study.config.data:
        return dataset
    say(
        f"no restored crops and no seed noise: the study was made with "
        f"{study.config.data_description}; name them by --data (data= in Python)"
    )
    return None


def _with_bicubic(study: Study, images: Dataset) -> Study:
    """``study`` with the PSNR of bicubic interpolation, which earlier versions did not record."""
    from bbnas.inference.scoring import bicubic_psnr

    config = study.config
    if config.bicubic_psnr is not None:
        return study
    found = bicubic_psnr(get_task(config.task), images.validation, config.protocol.validation_side)
    return replace(study, config=replace(config, bicubic_psnr=found))


def _trained_again(
    store: Store,
    study: Study,
    chosen: Recommendation,
    repeats: int,
    images: Dataset,
    *,
    pictures: bool,
    device: str,
    say: Say,
) -> tuple[list[Evaluation], Pictures | None]:
    """The recommended design under other seeds, and what it restores."""
    from bbnas.runs.pictures import restored_crops
    from bbnas.runs.repeats import measure_repeats
    from bbnas.runs.train_all import study_evaluator

    again = measure_repeats(
        chosen.candidate.evaluation.design,
        study_evaluator(study.config, images, device),
        store,
        repeats,
        on_done=lambda now: say(f"{now.label}: {now.evaluation.result}"),
    )
    shown = restored_crops(study, chosen.candidate, images, device) if pictures else None
    return again, shown


def known_fidelity(task: str, protocol: Protocol, data: str) -> MeasuredFidelity | None:
    """How well a study's protocol ranks designs: as ``bbnas fidelity`` measured it here, or else
    as what comes with bbnas says, of the same images.
    """
    from bbnas.store.fidelities import find_fidelity, shipped_fidelity

    key = get_task(task), protocol, data
    own = find_fidelity(open_store(None, FIDELITY), *key) if FIDELITY.exists() else None
    return own or shipped_fidelity(*key)


def _with_latencies(store: Store, study: Study, setting: LatencySetting, say: Say) -> Study:
    """``study`` with a latency for every candidate, measured where the store has none."""
    from bbnas.searching.prices import Clock

    setting = study.latency or setting
    clock = Clock(store, get_task(study.config.task), setting)
    for number, candidate in enumerate(study.candidates, 1):
        clock(candidate.evaluation.design)
        if number % 20 == 0 or number == len(study.candidates):
            say(f"latency: {number} of {len(study.candidates)} candidates")
    return store.load_study(study.config.name, setting)
