"""How a study was measured: everything that its figures depend on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from bbnas.analysis.pareto import useful
from bbnas.design import Design
from bbnas.evaluation import Evaluation
from bbnas.protocol import Protocol
from bbnas.space import Space
from bbnas.study import Study, StudyConfig
from bbnas.tasks import Task, get_task
from bbnas.text import count, decibel, duration, listed, milliseconds

SCORE = "{}; outputs rounded to 8 bits, mean over the validation images"
_OPS = (
    "multiply-accumulates of convolutions at full width and depth on a 320×180 LQ image; "
    "1-bit ones count 1/64"
)
_COST = [
    ("OPs", _OPS),
    ("Params", "weights of convolutions; 1-bit ones count 1/32"),
]


def tally(study: Study) -> dict[str, int]:
    """The number of candidates by status, and of suggestions that cost no training."""
    statuses = Counter(c.evaluation.status for c in study.candidates)
    return {
        "evaluated": len(study.candidates),
        "feasible": sum(c.evaluation.feasible for c in study.candidates),
        "stopped": statuses["stopped"],
        "diverged": statuses["diverged"],
        "failed": statuses["failed"],
        "useless": sum(
            c.evaluation.feasible and not useful(study.config, c.evaluation)
            for c in study.candidates
        ),
        "baselines": sum(bool(c.baseline) for c in study.candidates),
        "duplicates": study.duplicates,
        "rejected": study.rejected,
    }


def times_words(study: Study) -> str:
    """``33 min of search, 64 min of training and scoring by its workers together``."""
    search = f"{duration(study.search_seconds)} of search, " if study.search_seconds else ""
    return f"{search}{duration(study.training_seconds)} of training and scoring by all workers"


def measured(study: Study) -> list[tuple[str, list[tuple[str, str]]]]:
    """Everything that the figures depend on, by topic: (topic, [(name, value)])."""
    config, task = study.config, get_task(study.config.task)
    numbers = tally(study)
    evaluations = [c.evaluation for c in study.candidates] + list(study.references)
    limits = [
        f"{name} at most {count(limit)}"
        for name, limit in (("OPs", config.max_ops), ("Params", config.max_params))
        if limit is not None
    ]
    if config.max_latency is not None:
        limits.append(f"latency at most {milliseconds(config.max_latency)}")
    options = ", ".join(f"{name} {value}" for name, value in config.sampler_options.items())
    finished = [c.finished for c in study.candidates if c.finished]
    return [
        (
            "Task and data",
            [
                ("task", f"{task.name}: {task.title}, backbone {task.backbone.title}"),
                ("data", config.data_description),
                ("data fingerprint", config.data),
                ("score", SCORE.format(task.metric)),
                ("PSNR to beat", _floor(study)),
            ],
        ),
        ("Protocol", protocol_lines(config.protocol, task)),
        (
            "Search",
            [
                ("space", _space(config.space)),
                ("objectives", listed(list(config.objectives))),
                ("sampler", f"{config.sampler} ({options})" if options else config.sampler),
                ("guide", config.guide),
                ("early stopping", _stopping(config)),
                ("search seed", str(config.seed)),
                ("limits", listed(limits) or "none"),
                ("study", f"{config.name} in {study.storage}"),
                ("started", _moment(study.created)),
                ("last result", _moment(max(finished, default=None))),
            ],
        ),
        (
            "Counts",
            [
                ("designs evaluated", f"{numbers['evaluated']:,}"),
                ("trained to the end", f"{numbers['feasible']:,}"),
                ("stopped at a rung", f"{numbers['stopped']:,}"),
                ("diverged", f"{numbers['diverged']:,}"),
                ("failed", f"{numbers['failed']:,}"),
                (f"no better than {task.skip}", f"{numbers['useless']:,}"),
                ("baselines", f"{numbers['baselines']:,}"),
                ("duplicate suggestions, not trained", f"{numbers['duplicates']:,}"),
                ("suggestions over a limit, not trained", f"{numbers['rejected']:,}"),
                ("reference evaluations", f"{len(study.references):,}"),
                ("time", times_words(study)),
            ],
        ),
        ("Versions and hardware", environments(evaluations)),
        ("Cost", [*_COST, *_latency(study)]),
    ]


def _latency(study: Study) -> list[tuple[str, str]]:
    where = study.latency
    if where is None:
        return []
    words = (
        f"time of the full design on the engine ({where.engine}): {where.words()}; measured as "
        "the ratio to a reference workload run beside it, times the reference's undisturbed time"
    )
    return [("latency", words)]


def _floor(study: Study) -> str:
    task, skip = get_task(study.config.task), study.config.skip_psnr
    known = "not recorded" if skip is None else decibel(skip)
    return f"{known}, by {task.skip}, which costs nothing"


AUGMENTATION = {
    "dihedral": "flips and rotations by quarter turns, the 8 symmetries of the square",
    "none": "none",
}


def protocol_lines(protocol: Protocol, task: Task) -> list[tuple[str, str]]:
    """All settings of a protocol: (name, value)."""
    whole = Design(width=64, depth=task.backbone.depth)
    proxy = protocol.trained(whole)
    halved = f"halved every {protocol.halve_every:,} iterations"
    schedules = {"halve": halved, "onecycle": "one cycle", "cosine": "a cosine down to 0"}
    rates = [f"{protocol.learning_rate:g}, {schedules[protocol.schedule]}"]
    if protocol.shift_rate != 1:
        rates.append(f"× {protocol.shift_rate:g} for thresholds, shifts and normalisations")
    if protocol.latent_rate != 1:
        rates.append(f"× {protocol.latent_rate:g} for latent weights")
    options = []
    if protocol.ema:
        options.append(("weights scored", f"moving average, decay {protocol.ema:g} a step"))
    if (share := protocol.progressive) > 0:
        stages = f"full precision in the first {share / 2:.3g} of the iterations, 1-bit weights"
        options.append(("progressive binarization", f"{stages} until {share:.3g}, then 1-bit"))
    size = f"{whole.width}×{whole.depth} is trained as {proxy.width}×{proxy.depth}"
    scale = f"width × {protocol.width_scale:g}, depth × {protocol.depth_scale:g} of the design"
    side = protocol.validation_side
    if protocol.teaches:
        losses = listed(
            [
                f"{weight:g} × L1 of the {what}"
                for weight, what in (
                    (protocol.distill, "output"),
                    (protocol.distill_features, "tail’s input"),
                )
                if weight
            ]
        )
        twin = "the full-precision network of the same width and depth"
        options.append(("distillation", f"{losses} against {twin}"))
    return [
        ("name", f"{protocol.name} ({protocol.key})"),
        (
            "network trained",
            f"{scale}: {size}",
        ),
        ("iterations", f"{protocol.iterations:,}"),
        ("batch", f"{protocol.batch} patches of {protocol.patch}×{protocol.patch} HQ pixels"),
        ("augmentation", AUGMENTATION[protocol.augment]),
        (
            "loss and optimiser",
            f"L1, Adam with betas {protocol.betas[0]:g}, {protocol.betas[1]:g}",
        ),
        ("learning rate", ", ".join(rates)),
        *options,
        ("noise between seeds", f"{protocol.noise:g} dB"),
        ("scored on", f"centre crops of {side}×{side} HQ pixels" if side else "whole images"),
        ("training seed", str(protocol.seed)),
    ]


def _stopping(config: StudyConfig) -> str:
    rungs = [f"{rung:,}" for rung in config.protocol.rungs]
    return f"at iteration {listed(rungs)}" if config.early_stopping and rungs else "none"


def _space(space: Space) -> str:
    return f"{space.name}: {space.description}" if space.description else space.name


def _moment(moment: datetime | None) -> str:
    if moment is None:
        return "not recorded"
    moment = moment.astimezone(UTC) if moment.tzinfo else moment
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def machines(evaluations: Sequence[Evaluation]) -> str:
    """The processors that the times of evaluations are of: ``AMD EPYC (native avx512)``."""
    found = (
        f"{e.environment['cpu']} ({e.environment.get('kernels', 'kernels not recorded')})"
        for e in evaluations
        if "cpu" in e.environment
    )
    return listed(list(dict.fromkeys(found))) or "a machine that was not recorded"


def environments(evaluations: Sequence[Evaluation]) -> list[tuple[str, str]]:
    """Versions and devices; where they differ, each with its number of evaluations."""
    names = dict.fromkeys(name for e in evaluations for name in e.environment)
    rows = []
    for name in names:
        values = Counter(e.environment.get(name, "not recorded") for e in evaluations)
        if len(values) == 1:
            rows.append((name, next(iter(values))))
        else:
            rows.append((name, listed([f"{value} ({n})" for value, n in values.items()])))
    return rows or [("environment", "not recorded")]
