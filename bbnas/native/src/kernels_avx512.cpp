// AVX-512 with VPOPCNTDQ. 16 outputs are one register; a lane is a word of 32 channels.
#include <immintrin.h>

#include "engine.h"

namespace {
using F = __m512;
using U = __m512i;
struct Count {
    __m512i s, m;
};
constexpr int BINARY_PIXELS = 4, BINARY_VECTORS = 2;
constexpr int CONV_PIXELS = 6, CONV_VECTORS = 4;
constexpr int NARROW_PIXELS = 4;
// GCC unrolls a loop over a constant number of columns, delays the additions, and spills the summands
// to memory.
constexpr bool HIDES_COLUMNS = true;
constexpr int MAX_TRIPLES = 1 << 30;  // no limit: counts of 32 bits do not overflow

inline F load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, F a) { _mm512_storeu_ps(p, a); }
// Holds the value in a register. GCC would load it again for each use, and a cycle has two loads.
inline void hold(F& a) { asm("" : "+v"(a)); }
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
// Makes the compiler treat the value as changed.
inline void opaque(U& u) { asm volatile("" : "+v"(u)); }
inline Count none() { return {_mm512_setzero_si512(), _mm512_setzero_si512()}; }
inline void count(Count& c, U x0, U x1, U odd, U w0, U w1, U w2) {
    const U a = _mm512_xor_si512(x0, w0), b = _mm512_xor_si512(x1, w1);
    const U s = _mm512_xor_si512(odd, w2);
    const U m = _mm512_ternarylogic_epi32(a, b, s, 0xd4);  // of a, b and a ^ b ^ s
    c.s = _mm512_add_epi32(c.s, _mm512_popcnt_epi32(s));
    c.m = _mm512_add_epi32(c.m, _mm512_popcnt_epi32(m));
}
inline void flush(Count&) {}
inline F finish(Count c) {
    return _mm512_cvtepi32_ps(_mm512_add_epi32(c.s, _mm512_add_epi32(c.m, c.m)));
}

// tally() of kernels.inc for 4 pixels and 32 outputs, in assembly, because GCC spills half of the
// counts of the C++ version to memory. zmm16 to 21 are weights, 22 to 24 words of a pixel, 25 to 27
// their results for the second 16 outputs. Builds with a sanitizer use the C++ version, because a
// sanitizer does not see the reads of assembly.
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__
#endif
#endif
#ifndef __SANITIZE_ADDRESS__
#define PIXEL(p, at)                                                                      \
    "vpbroadcastd (%[upper]" at "), %%zmm22\n vpbroadcastd (%[middle]" at "), %%zmm23\n"  \
    "vpbroadcastd (%[odd]" at "), %%zmm24\n"                                              \
    "vpxord %%zmm19, %%zmm22, %%zmm25\n vpxord %%zmm20, %%zmm23, %%zmm26\n"               \
    "vpxord %%zmm21, %%zmm24, %%zmm27\n vpxord %%zmm16, %%zmm22, %%zmm22\n"               \
    "vpxord %%zmm17, %%zmm23, %%zmm23\n vpxord %%zmm18, %%zmm24, %%zmm24\n"               \
    "vpternlogd $0xd4, %%zmm24, %%zmm23, %%zmm22\n"                                       \
    "vpternlogd $0xd4, %%zmm27, %%zmm26, %%zmm25\n"                                       \
    "vpopcntd %%zmm24, %%zmm24\n vpopcntd %%zmm22, %%zmm22\n"                             \
    "vpopcntd %%zmm27, %%zmm27\n vpopcntd %%zmm25, %%zmm25\n"                             \
    "vpaddd %%zmm24, %[s0" p "], %[s0" p "]\n vpaddd %%zmm22, %[m0" p "], %[m0" p "]\n"   \
    "vpaddd %%zmm27, %[s1" p "], %[s1" p "]\n vpaddd %%zmm25, %[m1" p "], %[m1" p "]\n"
#define ZERO(c) "vpxord %[" c "], %[" c "], %[" c "]\n"
#define COUNTS(v, p) [s##v##p] "=&v"(counts[v][p].s), [m##v##p] "=&v"(counts[v][p].m)
[[gnu::always_inline]] inline void tally(Count (&counts)[2][4], bbnas::Words at, int columns,
                                         int pixel, int wide) {
    const ptrdiff_t bytes = 4 * pixel, row = 4 * wide;
    asm(ZERO("s00") ZERO("s01") ZERO("s02") ZERO("s03")
        ZERO("m00") ZERO("m01") ZERO("m02") ZERO("m03")
        ZERO("s10") ZERO("s11") ZERO("s12") ZERO("s13")
        ZERO("m10") ZERO("m11") ZERO("m12") ZERO("m13")
        "1:\n"
        "vmovdqu64 (%[weight]), %%zmm16\n vmovdqu64 64(%[weight]), %%zmm19\n"
        "vmovdqu64 (%[weight],%[row]), %%zmm17\n vmovdqu64 64(%[weight],%[row]), %%zmm20\n"
        "vmovdqu64 (%[weight],%[row],2), %%zmm18\n vmovdqu64 64(%[weight],%[row],2), %%zmm21\n"
        PIXEL("0", "") PIXEL("1", ",%[bytes]") PIXEL("2", ",%[bytes],2") PIXEL("3", ",%[thrice]")
        "add $4, %[upper]\n add $4, %[middle]\n add $4, %[odd]\n"
        "lea (%[weight],%[row],2), %[weight]\n add %[row], %[weight]\n"
        "dec %[columns]\n jnz 1b\n"
        : COUNTS(0, 0), COUNTS(0, 1), COUNTS(0, 2), COUNTS(0, 3),
          COUNTS(1, 0), COUNTS(1, 1), COUNTS(1, 2), COUNTS(1, 3), [upper] "+&r"(at.upper),
          [middle] "+&r"(at.middle), [odd] "+&r"(at.odd), [weight] "+&r"(at.weight),
          [columns] "+&r"(columns)
        : [bytes] "r"(bytes), [thrice] "r"(3 * bytes), [row] "r"(row)
        : "zmm16", "zmm17", "zmm18", "zmm19", "zmm20", "zmm21", "zmm22", "zmm23", "zmm24", "zmm25",
          "zmm26", "zmm27", "cc", "memory");
}
#undef PIXEL
#undef ZERO
#undef COUNTS
#endif
}  // namespace

#define KERNELS kernels_avx512
#include "kernels.inc"
