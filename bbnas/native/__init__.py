"""The compiled library (src/, C++17 behind a C interface): its build, and what it runs on here.

``bbnas.engine`` runs packed models with it, ``bbnas.binary`` trains with it; either does without.
"""

from bbnas.native.loading import ISAS, LIBRARY, choose_isa, isas, kernels, library

__all__ = ["ISAS", "LIBRARY", "choose_isa", "isas", "kernels", "library"]
