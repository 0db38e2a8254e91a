// AVX-512 with VPOPCNTDQ: 16 outputs are one register, a word of 32 channels a lane of it.
#include <immintrin.h>

#include "engine.h"

namespace {
using F = __m512;
using U = __m512i;
struct Count {
    __m512i s, m;
};
constexpr int BINARY_PIXELS = 4, CONV_PIXELS = 6, CONV_VECTORS = 4;
constexpr int NARROW_PIXELS = 4;
constexpr int MAX_TRIPLES = 1 << 30;  // counts of 32 bits do not overflow

inline F load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, F a) { _mm512_storeu_ps(p, a); }
inline F fill(float v) { return _mm512_set1_ps(v); }
inline F add(F a, F b) { return _mm512_add_ps(a, b); }
inline F sub(F a, F b) { return _mm512_sub_ps(a, b); }
inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
inline F clamp1(F a) { return _mm512_min_ps(_mm512_max_ps(a, fill(-1)), fill(1)); }
inline F prelu(F z, F beta) {
    return _mm512_mask_mul_ps(z, _mm512_cmp_ps_mask(z, _mm512_setzero_ps(), _CMP_NGT_UQ), z, beta);
}
inline uint16_t above(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
inline F choose(uint16_t mask, F yes, F no) { return _mm512_mask_blend_ps(mask, no, yes); }
inline float total(F a) {
    __m256 b = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1));
    __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_add_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}

inline U load_words(const uint32_t* p) { return _mm512_loadu_si512(p); }
inline U fill_words(uint32_t v) { return _mm512_set1_epi32(static_cast<int>(v)); }
inline Count none() { return {_mm512_setzero_si512(), _mm512_setzero_si512()}; }
inline void count(Count& c, U x0, U x1, U odd, U w0, U w1, U w2) {
    const U a = _mm512_xor_si512(x0, w0), b = _mm512_xor_si512(x1, w1);
    const U s = _mm512_xor_si512(odd, w2);
    const U m = _mm512_ternarylogic_epi32(a, b, s, 0xd4);  // of a, b and a ^ b ^ s
    c.s = _mm512_add_epi32(c.s, _mm512_popcnt_epi32(s));
    c.m = _mm512_add_epi32(c.m, _mm512_popcnt_epi32(m));
}
inline void flush(Count&) {}
// border − 2·count, as float
inline F finish(Count c, const int32_t* border) {
    const U twice = _mm512_slli_epi32(_mm512_add_epi32(c.s, _mm512_add_epi32(c.m, c.m)), 1);
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(border), twice));
}
}  // namespace

#define KERNELS kernels_avx512
#include "kernels.inc"
