"""Binary units: estimators, weight binarizers, activations, and what they are made into."""

from bbnas.binary.estimators import ESTIMATORS
from bbnas.binary.unit import BinaryConv2d, BinaryUnit, BinaryUpsample, RPReLU

__all__ = ["ESTIMATORS", "BinaryConv2d", "BinaryUnit", "BinaryUpsample", "RPReLU"]
