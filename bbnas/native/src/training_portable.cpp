// What any compiler makes of vectors of 4.
#include "training.h"

namespace {
typedef float V __attribute__((vector_size(16)));
typedef int M __attribute__((vector_size(16)));
constexpr int ROWS = 4, VECTORS = 2;

inline V fma(V x, V y, V z) { return x * y + z; }
}  // namespace

#define PARTS_BY_LOOP
#define TRAINING training_portable
#include "training.inc"
