"""The published super-resolution designs (paper Table 1), to lay beside a study's own."""

from __future__ import annotations

from dataclasses import dataclass

BENCHMARK = "Set5"


@dataclass(frozen=True)
class Published:
    """One row of Table 1: OPs and Params as plain counts, PSNR in dB on Set5, trained in full."""

    task: str
    method: str
    ops: float
    params: float
    psnr: float

    @property
    def gain(self) -> float:
        """The PSNR above the bicubic row of the same table.

        What a study's proxy PSNR, measured on other images, can be shown beside.
        """
        return self.psnr - BICUBIC[self.task]


BICUBIC = {"sr2": 33.97, "sr4": 28.63}

PUBLISHED: tuple[Published, ...] = tuple(
    Published(task, method, giga_ops * 1e9, kilo_params * 1e3, psnr)
    for task, method, giga_ops, kilo_params, psnr in (
        ("sr2", "SRResNet", 85.43, 1367, 38.00),
        ("sr2", "SRResNet-Lite", 3.08, 49, 37.21),
        ("sr2", "BNN", 18.55, 225, 32.25),
        ("sr2", "Bi-Real", 18.55, 225, 32.32),
        ("sr2", "BAM", 20.52, 226, 37.21),
        ("sr2", "IRNet", 18.55, 225, 37.27),
        ("sr2", "BTM", 18.55, 225, 37.22),
        ("sr2", "ReActNet", 18.55, 225, 37.26),
        ("sr2", "BBCU-M", 1.83, 46, 37.44),
        ("sr2", "BBCU-L", 18.55, 225, 37.58),
        ("sr4", "SRResNet", 146.14, 1515, 32.16),
        ("sr4", "SRResNet-Lite", 5.39, 54, 31.40),
        ("sr4", "BNN", 79.20, 372, 27.56),
        ("sr4", "Bi-Real", 79.20, 372, 27.75),
        ("sr4", "BAM", 81.17, 373, 31.24),
        ("sr4", "IRNet", 79.20, 372, 31.38),
        ("sr4", "BTM", 79.20, 372, 31.43),
        ("sr4", "ReActNet", 79.20, 372, 31.54),
        ("sr4", "BBCU-M", 3.95, 51, 31.54),
        ("sr4", "BBCU-L", 79.20, 372, 31.79),
    )
)


def published(task: str) -> list[Published]:
    """The published designs of ``task``; none for ×3, which the paper does not report."""
    return [row for row in PUBLISHED if row.task == task]
