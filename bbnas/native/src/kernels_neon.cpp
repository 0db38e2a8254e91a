// NEON (AArch64). 16 outputs are four registers. CNT counts bits, in bytes.
#include <arm_neon.h>

#include "engine.h"

namespace {
struct F {
    float32x4_t v[4];
};
struct U {
    uint32x4_t v[4];
};
struct Count {
    uint8x16_t v[4];   // counts in bytes
    uint32x4_t t[4];   // the sum of the flushed bytes
};
constexpr int BINARY_PIXELS = 2, BINARY_VECTORS = 1;
constexpr int CONV_PIXELS = 4, CONV_VECTORS = 1;
constexpr int NARROW_PIXELS = 2;
constexpr bool HIDES_COLUMNS = false;
constexpr int MAX_TRIPLES = 10;  // triples that a byte can count: each adds up to 24

#define EACH for (int i = 0; i < 4; i++)
inline F load(const float* p) {
    F r;
    EACH r.v[i] = vld1q_f32(p + 4 * i);
    return r;
}
inline void store(float* p, F x) { EACH vst1q_f32(p + 4 * i, x.v[i]); }
inline void hold(F&) {}
inline F fill(float v) {
    F r;
    EACH r.v[i] = vdupq_n_f32(v);
    return r;
}
inline F add(F x, F y) {
    EACH x.v[i] = vaddq_f32(x.v[i], y.v[i]);
    return x;
}
inline F sub(F x, F y) {
    EACH x.v[i] = vsubq_f32(x.v[i], y.v[i]);
    return x;
}
inline F mul(F x, F y) {
    EACH x.v[i] = vmulq_f32(x.v[i], y.v[i]);
    return x;
}
inline F fma(F x, F y, F z) {
    EACH z.v[i] = vfmaq_f32(z.v[i], x.v[i], y.v[i]);
    return z;
}
inline F clamp1(F x) {
    EACH x.v[i] = vminq_f32(vmaxq_f32(x.v[i], vdupq_n_f32(-1)), vdupq_n_f32(1));
    return x;
}
inline F prelu(F z, F beta) {
    EACH z.v[i] = vbslq_f32(vcgtq_f32(z.v[i], vdupq_n_f32(0)), z.v[i], vmulq_f32(z.v[i], beta.v[i]));
    return z;
}
inline uint16_t above(F x, F y) {
    const uint32_t lane[4] = {1, 2, 4, 8};
    const uint32x4_t bit = vld1q_u32(lane);
    uint32_t mask = 0;
    EACH mask |= vaddvq_u32(vandq_u32(vcgtq_f32(x.v[i], y.v[i]), bit)) << (4 * i);
    return static_cast<uint16_t>(mask);
}
inline F choose(uint16_t mask, F yes, F no) {
    const uint32_t lane[4] = {1, 2, 4, 8};
    const uint32x4_t bit = vld1q_u32(lane);
    EACH no.v[i] =
        vbslq_f32(vtstq_u32(vdupq_n_u32(uint32_t(mask) >> (4 * i)), bit), yes.v[i], no.v[i]);
    return no;
}
inline float total(F x) {
    const float32x4_t c = vaddq_f32(vaddq_f32(x.v[0], x.v[2]), vaddq_f32(x.v[1], x.v[3]));
    const float32x2_t d = vadd_f32(vget_low_f32(c), vget_high_f32(c));
    return vget_lane_f32(d, 0) + vget_lane_f32(d, 1);
}

inline U load_words(const uint32_t* p) {
    U r;
    EACH r.v[i] = vld1q_u32(p + 4 * i);
    return r;
}
inline U fill_words(uint32_t v) {
    U r;
    EACH r.v[i] = vdupq_n_u32(v);
    return r;
}
// Makes the compiler treat the value as changed.
inline void opaque(U& u) { EACH asm volatile("" : "+w"(u.v[i])); }
inline Count none() {
    Count c;
    EACH c.v[i] = vdupq_n_u8(0);
    EACH c.t[i] = vdupq_n_u32(0);
    return c;
}
inline void count(Count& c, U x0, U x1, U odd, U w0, U w1, U w2) {
    EACH {
        const uint32x4_t a = veorq_u32(x0.v[i], w0.v[i]), b = veorq_u32(x1.v[i], w1.v[i]);
        const uint32x4_t s = veorq_u32(odd.v[i], w2.v[i]);
        // The majority: the third bit, the complement of s, where a and b differ; else a.
        const uint32x4_t m = vbslq_u32(veorq_u32(a, b), vmvnq_u32(s), a);
        const uint8x16_t twice = vcntq_u8(vreinterpretq_u8_u32(m));
        c.v[i] = vaddq_u8(c.v[i], vcntq_u8(vreinterpretq_u8_u32(s)));
        c.v[i] = vaddq_u8(c.v[i], vaddq_u8(twice, twice));
    }
}
inline void flush(Count& c) {
    EACH c.t[i] = vpadalq_u16(c.t[i], vpaddlq_u8(c.v[i]));
    EACH c.v[i] = vdupq_n_u8(0);
}
inline F finish(Count c) {
    F r;
    EACH r.v[i] = vcvtq_f32_u32(c.t[i]);
    return r;
}
#undef EACH
}  // namespace

#define KERNELS kernels_neon
#include "kernels.inc"
