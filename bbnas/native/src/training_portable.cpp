// Vectors of 4, for any compiler.
#include "training.h"

namespace {
typedef float V __attribute__((vector_size(16)));
typedef int M __attribute__((vector_size(16)));
constexpr int ROWS = 4, VECTORS = 2;

inline V fma(V x, V y, V z) { return x * y + z; }
// evens and odds: the lanes 0, 2, … and 1, 3, … of the concatenation of x and y.
inline V evens(V x, V y) { return V{x[0], x[2], y[0], y[2]}; }
inline V odds(V x, V y) { return V{x[1], x[3], y[1], y[3]}; }
}  // namespace

#define PARTS_BY_LOOP
#define TRAINING training_portable
#include "training.inc"
