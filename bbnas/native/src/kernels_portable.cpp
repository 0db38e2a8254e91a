// Plain C++ for any machine. Tests compare the other instruction sets with it.
#include <cmath>

#include "engine.h"

namespace {
struct F {
    float v[16];
};
struct U {
    uint32_t v[16];
};
struct Count {
    uint32_t n[16];
};
constexpr int BINARY_PIXELS = 1, BINARY_VECTORS = 1;
constexpr int CONV_PIXELS = 1, CONV_VECTORS = 1;
constexpr int NARROW_PIXELS = 1;
constexpr bool HIDES_COLUMNS = false;
constexpr int MAX_TRIPLES = 1 << 30;

#define EACH for (int i = 0; i < 16; i++)
inline F load(const float* p) {
    F r;
    EACH r.v[i] = p[i];
    return r;
}
inline void store(float* p, F x) { EACH p[i] = x.v[i]; }
inline void hold(F&) {}
inline F fill(float v) {
    F r;
    EACH r.v[i] = v;
    return r;
}
inline F add(F x, F y) {
    EACH x.v[i] += y.v[i];
    return x;
}
inline F sub(F x, F y) {
    EACH x.v[i] -= y.v[i];
    return x;
}
inline F mul(F x, F y) {
    EACH x.v[i] *= y.v[i];
    return x;
}
inline F fma(F x, F y, F z) {
    EACH z.v[i] = std::fma(x.v[i], y.v[i], z.v[i]);
    return z;
}
inline F clamp1(F x) {
    EACH x.v[i] = x.v[i] < -1 ? -1 : x.v[i] > 1 ? 1 : x.v[i];
    return x;
}
inline F prelu(F z, F beta) {
    EACH z.v[i] = z.v[i] > 0 ? z.v[i] : z.v[i] * beta.v[i];
    return z;
}
inline uint16_t above(F x, F y) {
    uint32_t mask = 0;
    EACH mask |= static_cast<uint32_t>(x.v[i] > y.v[i]) << i;
    return static_cast<uint16_t>(mask);
}
inline F choose(uint16_t mask, F yes, F no) {
    EACH no.v[i] = mask >> i & 1 ? yes.v[i] : no.v[i];
    return no;
}
// Adds in the order of the vector units: lanes 8 apart, then 4, 2 and 1.
inline float total(F x) {
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) x.v[i] += x.v[i + half];
    return x.v[0];
}

inline U load_words(const uint32_t* p) {
    U r;
    EACH r.v[i] = p[i];
    return r;
}
inline U fill_words(uint32_t v) {
    U r;
    EACH r.v[i] = v;
    return r;
}
// Makes the compiler treat the value as changed.
inline void opaque(U& u) { asm volatile("" : "+m"(u)); }
inline Count none() { return {}; }
inline uint32_t ones(uint32_t x) {
    x -= x >> 1 & 0x55555555u;
    x = (x & 0x33333333u) + (x >> 2 & 0x33333333u);
    return ((x + (x >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24;
}
inline void count(Count& c, U x0, U x1, U odd, U w0, U w1, U w2) {
    EACH {
        const uint32_t a = x0.v[i] ^ w0.v[i], b = x1.v[i] ^ w1.v[i], s = odd.v[i] ^ w2.v[i];
        // The majority: the third bit, the complement of s, where a and b differ; else a.
        c.n[i] += ones(s) + 2 * ones(((a ^ b) & ~s) | (~(a ^ b) & a));
    }
}
inline void flush(Count&) {}
inline F finish(Count c) {
    F r;
    EACH r.v[i] = static_cast<float>(c.n[i]);
    return r;
}
#undef EACH
}  // namespace

#define KERNELS kernels_portable
#include "kernels.inc"
