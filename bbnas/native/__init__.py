"""The compiled library (src/, C++17 with a C interface): its build and its instruction sets.

``bbnas.engine`` runs packed models with it and ``bbnas.binary`` trains with it. Both use torch
where there is no library.
"""

from bbnas.native.loading import choose_isa, counting, kernels
from bbnas.runtime import ISAS, LIBRARY, isas, library

__all__ = ["ISAS", "LIBRARY", "choose_isa", "counting", "isas", "kernels", "library"]
