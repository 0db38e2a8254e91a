// AVX2 and FMA: vectors of 8; 12 of 16 registers hold sums.
#include <immintrin.h>

#include "training.h"

namespace {
typedef float V __attribute__((vector_size(32)));
typedef int M __attribute__((vector_size(32)));
constexpr int ROWS = 4, VECTORS = 3;  // outputs and vectors of pixels of a tile

inline V fma(V x, V y, V z) { return (V)_mm256_fmadd_ps((__m256)x, (__m256)y, (__m256)z); }
inline __m256i first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline V load_part(const float* p, int n) { return (V)_mm256_maskload_ps(p, first(n)); }
inline void store_part(float* p, V v, int n) { _mm256_maskstore_ps(p, first(n), (__m256)v); }
// evens and odds: the lanes 0, 2, … and 1, 3, … of the concatenation of x and y.
inline V pick(__m256 halves) {
    return (V)_mm256_permute4x64_pd(_mm256_castps_pd(halves), 0xd8);
}
inline V evens(V x, V y) { return pick(_mm256_shuffle_ps((__m256)x, (__m256)y, 0x88)); }
inline V odds(V x, V y) { return pick(_mm256_shuffle_ps((__m256)x, (__m256)y, 0xdd)); }
}  // namespace

#define TRAINING training_avx2
#include "training.inc"
