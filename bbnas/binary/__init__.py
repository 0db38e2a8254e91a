"""Binary units: estimators, weight binarizers, activations, and what they are made into."""

from bbnas.binary.estimators import ESTIMATORS
from bbnas.binary.methods import (
    UNITS,
    Accumulation,
    BinaryUpsample,
    Unit,
    residual_span,
    sign,
    unit,
)
from bbnas.binary.unit import BinaryConv2d, BinaryUnit, BinaryWeightConv2d, Conv3x3, RPReLU
from bbnas.binary.weights import WEIGHTS

__all__ = [
    "ESTIMATORS",
    "UNITS",
    "WEIGHTS",
    "Accumulation",
    "BinaryConv2d",
    "BinaryUnit",
    "BinaryUpsample",
    "BinaryWeightConv2d",
    "Conv3x3",
    "RPReLU",
    "Unit",
    "residual_span",
    "sign",
    "unit",
]
