// NEON: vectors of 4; 24 of 32 registers hold sums.
#include <arm_neon.h>

#include "training.h"

namespace {
typedef float V __attribute__((vector_size(16)));
typedef int M __attribute__((vector_size(16)));
constexpr int ROWS = 8, VECTORS = 3;

inline V fma(V x, V y, V z) {
    return (V)vfmaq_f32((float32x4_t)z, (float32x4_t)x, (float32x4_t)y);
}
// evens and odds: the lanes 0, 2, … and 1, 3, … of the concatenation of x and y.
inline V evens(V x, V y) { return (V)vuzp1q_f32((float32x4_t)x, (float32x4_t)y); }
inline V odds(V x, V y) { return (V)vuzp2q_f32((float32x4_t)x, (float32x4_t)y); }
}  // namespace

#define PARTS_BY_LOOP
#define TRAINING training_neon
#include "training.inc"
