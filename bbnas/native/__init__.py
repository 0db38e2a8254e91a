"""The compiled library (src/, C++17 with a C interface): its build and its instruction sets.

``bbnas.engine`` runs packed models with it and ``bbnas.binary`` trains with it. Both use torch
where there is no library.
"""

from bbnas.native.loading import ISAS, LIBRARY, choose_isa, isas, kernels, library

__all__ = ["ISAS", "LIBRARY", "choose_isa", "isas", "kernels", "library"]
