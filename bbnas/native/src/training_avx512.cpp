// AVX-512: vectors of 16; 24 of 32 registers hold sums.
#include <immintrin.h>

#include "training.h"

namespace {
typedef float V __attribute__((vector_size(64)));
typedef int M __attribute__((vector_size(64)));
constexpr int ROWS = 8, VECTORS = 3;

inline V fma(V x, V y, V z) { return (V)_mm512_fmadd_ps((__m512)x, (__m512)y, (__m512)z); }
inline __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1); }
inline V load_part(const float* p, int n) { return (V)_mm512_maskz_loadu_ps(first(n), p); }
inline void store_part(float* p, V v, int n) { _mm512_mask_storeu_ps(p, first(n), (__m512)v); }
// evens and odds: the lanes 0, 2, … and 1, 3, … of the concatenation of x and y.
inline V evens(V x, V y) {
    const __m512i lanes =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return (V)_mm512_permutex2var_ps((__m512)x, lanes, (__m512)y);
}
inline V odds(V x, V y) {
    const __m512i lanes =
        _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
    return (V)_mm512_permutex2var_ps((__m512)x, lanes, (__m512)y);
}
}  // namespace

#define TRAINING training_avx512
#include "training.inc"
