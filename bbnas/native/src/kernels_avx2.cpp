// AVX2 and FMA. 16 outputs are two registers. A table of nibbles counts bits, in bytes.
#include <immintrin.h>

#include "engine.h"

namespace {
struct F {
    __m256 a, b;
};
struct U {
    __m256i a, b;
};
struct Count {
    __m256i a, b;    // counts in bytes
    __m256i ta, tb;  // counts in words of 32 bits: the sum of the flushed bytes
};
constexpr int BINARY_PIXELS = 4, BINARY_VECTORS = 1;
constexpr int CONV_PIXELS = 6, CONV_VECTORS = 1;
constexpr int NARROW_PIXELS = 2;
constexpr bool HIDES_COLUMNS = false;
constexpr int MAX_TRIPLES = 10;  // triples that a byte can count: each adds up to 24

inline F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void store(float* p, F v) {
    _mm256_storeu_ps(p, v.a);
    _mm256_storeu_ps(p + 8, v.b);
}
inline void hold(F&) {}  // does nothing: there are too few registers
inline F fill(float v) { return {_mm256_set1_ps(v), _mm256_set1_ps(v)}; }
inline F add(F x, F y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline F sub(F x, F y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline F mul(F x, F y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline F fma(F x, F y, F z) {
    return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
inline F clamp1(F x) {
    const __m256 low = _mm256_set1_ps(-1), high = _mm256_set1_ps(1);
    return {_mm256_min_ps(_mm256_max_ps(x.a, low), high),
            _mm256_min_ps(_mm256_max_ps(x.b, low), high)};
}
inline __m256 greater(__m256 x, __m256 y) { return _mm256_cmp_ps(x, y, _CMP_GT_OQ); }
inline F prelu(F z, F beta) {
    const F scaled = mul(z, beta);
    const __m256 zero = _mm256_setzero_ps();
    return {_mm256_blendv_ps(scaled.a, z.a, greater(z.a, zero)),
            _mm256_blendv_ps(scaled.b, z.b, greater(z.b, zero))};
}
inline uint16_t above(F x, F y) {
    return static_cast<uint16_t>(_mm256_movemask_ps(greater(x.a, y.a)) |
                                 _mm256_movemask_ps(greater(x.b, y.b)) << 8);
}
inline F choose(uint16_t mask, F yes, F no) {
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i low = _mm256_and_si256(_mm256_set1_epi32(mask), bit);
    const __m256i high = _mm256_and_si256(_mm256_set1_epi32(mask >> 8), bit);
    return {_mm256_blendv_ps(no.a, yes.a, _mm256_castsi256_ps(_mm256_cmpeq_epi32(low, bit))),
            _mm256_blendv_ps(no.b, yes.b, _mm256_castsi256_ps(_mm256_cmpeq_epi32(high, bit)))};
}
inline float total(F x) {
    const __m256 b = _mm256_add_ps(x.a, x.b);
    __m128 c = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    c = _mm_add_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_add_ss(c, _mm_movehdup_ps(c)));
}

inline U load_words(const uint32_t* p) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 8))};
}
inline U fill_words(uint32_t v) {
    const __m256i word = _mm256_set1_epi32(static_cast<int>(v));
    return {word, word};
}
// Makes the compiler treat the value as changed.
inline void opaque(U& u) { asm volatile("" : "+x"(u.a), "+x"(u.b)); }
inline Count none() {
    const __m256i zero = _mm256_setzero_si256();
    return {zero, zero, zero, zero};
}
// In each byte: popcount(s) + 2·popcount(m).
inline __m256i ones(__m256i s, __m256i m) {
    const __m256i once = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1,
                                          2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i twice = _mm256_add_epi8(once, once);
    const __m256i nibble = _mm256_set1_epi8(15);
    const auto low = [&](__m256i x) { return _mm256_and_si256(x, nibble); };
    const auto high = [&](__m256i x) { return low(_mm256_srli_epi16(x, 4)); };
    return _mm256_add_epi8(_mm256_add_epi8(_mm256_shuffle_epi8(once, low(s)),
                                           _mm256_shuffle_epi8(once, high(s))),
                           _mm256_add_epi8(_mm256_shuffle_epi8(twice, low(m)),
                                           _mm256_shuffle_epi8(twice, high(m))));
}
inline __m256i triple(__m256i x0, __m256i x1, __m256i odd, __m256i w0, __m256i w1, __m256i w2) {
    const __m256i a = _mm256_xor_si256(x0, w0), b = _mm256_xor_si256(x1, w1);
    const __m256i s = _mm256_xor_si256(odd, w2), differ = _mm256_xor_si256(a, b);
    // The majority is the third bit where a and b differ, and then s is its complement; else it is a.
    const __m256i m = _mm256_or_si256(_mm256_andnot_si256(s, differ),
                                      _mm256_andnot_si256(differ, a));
    return ones(s, m);
}
inline void count(Count& c, U x0, U x1, U odd, U w0, U w1, U w2) {
    c.a = _mm256_add_epi8(c.a, triple(x0.a, x1.a, odd.a, w0.a, w1.a, w2.a));
    c.b = _mm256_add_epi8(c.b, triple(x0.b, x1.b, odd.b, w0.b, w1.b, w2.b));
}
inline __m256i widen(__m256i bytes) {
    return _mm256_madd_epi16(_mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1)),
                             _mm256_set1_epi16(1));
}
inline void flush(Count& c) {
    c.ta = _mm256_add_epi32(c.ta, widen(c.a));
    c.tb = _mm256_add_epi32(c.tb, widen(c.b));
    c.a = c.b = _mm256_setzero_si256();
}
inline F finish(Count c) { return {_mm256_cvtepi32_ps(c.ta), _mm256_cvtepi32_ps(c.tb)}; }
}  // namespace

#define KERNELS kernels_avx2
#include "kernels.inc"
