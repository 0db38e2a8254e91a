"""Binary units: convolutions, weight binarizers, gradient estimators, activations."""

from bbnas.binary.estimators import ESTIMATORS
from bbnas.binary.methods import (
    UNITS,
    Accumulation,
    BinaryUpsample,
    residual_span,
    sign,
    unit,
)
from bbnas.binary.unit import (
    BBCU,
    BinaryConv2d,
    BinaryWeightConv2d,
    FullConv2d,
    RPReLU,
    Stage,
    Unit,
)
from bbnas.binary.weights import WEIGHTS

__all__ = [
    "BBCU",
    "ESTIMATORS",
    "UNITS",
    "WEIGHTS",
    "Accumulation",
    "BinaryConv2d",
    "BinaryUpsample",
    "BinaryWeightConv2d",
    "FullConv2d",
    "RPReLU",
    "Stage",
    "Unit",
    "residual_span",
    "sign",
    "unit",
]
