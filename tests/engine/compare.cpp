// The kernels of one instruction set against the portable ones, on random rows, bit by bit: for a
// machine without Python, such as the emulated one of tests/runtime/test_arm.py.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "engine.h"

using namespace bbnas;

static std::mt19937 rng(1);
static int upto(int n) { return static_cast<int>(rng() % n); }
static float value() { return static_cast<float>(static_cast<int>(rng() % 2001) - 1000) / 64; }
static std::vector<float> floats(size_t n) {
    std::vector<float> v(n);
    for (float& x : v) x = value();
    return v;
}

int main() {
    long compared = 0;
    for (int round = 0; round < 2000; round++) {
        const int kind = upto(3);  // binary, conv, narrow
        const int n = 1 + upto(20), vectors = 1 + upto(6), wide = vectors * LANES;
        const int in = kind == 0 ? 1 + upto(35) : kind == 1 ? 1 + upto(20) : LANES * (1 + upto(5));
        const int narrow = 1 + upto(4);
        std::vector<uint32_t> words(9 * in * wide), bits_in(3 * (n + 2) * in);
        for (auto& w : words) w = rng();
        for (auto& b : bits_in) b = rng();
        const auto weights = floats(9 * in * wide), pixels = floats(3 * (n + 2) * in);
        std::vector<float> border(16 * wide);
        for (auto& b : border) b = upto(4000);
        const auto bias = floats(wide), scale = floats(wide), norm_a = floats(wide);
        const auto norm_b = floats(wide), gamma = floats(wide), beta = floats(wide);
        const auto zeta = floats(wide), pack_a = floats(wide), pack_b = floats(wide);
        const auto residual = floats((n + 2) * wide);
        Layer l{};
        l.in = in, l.vectors = vectors, l.narrow = narrow;
        l.weight = kind == 0 ? static_cast<const void*>(words.data()) : weights.data();
        l.bias = upto(2) ? bias.data() : nullptr;
        l.border = border.data();
        Epilogue& e = l.epilogue;
        e = {kind == 0 ? scale.data() : nullptr, nullptr, nullptr, nullptr, beta.data(), nullptr,
             pack_a.data(), pack_b.data(), upto(3), upto(3), upto(2), 1 + upto(2), upto(2) ? 1 : 0.1f,
             vectors % 2 ? (vectors - 1) * LANES : -1};
        if (upto(2)) e.norm_a = norm_a.data(), e.norm_b = norm_b.data();
        if (e.activation == ACT_PRELU && upto(2)) e.gamma = gamma.data(), e.zeta = zeta.data();
        Row r{};
        r.n = n, r.edge = upto(16);
        for (int k = 0; k < 3; k++)
            r.in[k] = kind == 0 ? static_cast<const void*>(&bits_in[k * (n + 2) * in + in])
                                : &pixels[k * (n + 2) * in + in];
        r.in_pixel = in, r.in_channel = 1;
        r.residual = residual.data(), r.residual_pixel = kind == 2 ? 1 : wide;
        r.residual_channel = r.out_channel = n;
        r.out_pixel = wide, r.bits_pixel = vectors + vectors % 2;
        std::vector<float> out[2] = {std::vector<float>(n * wide), std::vector<float>(n * wide)};
        std::vector<uint16_t> bits[2] = {std::vector<uint16_t>(n * r.bits_pixel, 7),
                                         std::vector<uint16_t>(n * r.bits_pixel, 7)};
        const Kernels* both[2] = {&SUBJECT, &kernels_portable};
        for (int i = 0; i < 2; i++) {
            r.out = out[i].data(), r.bits = bits[i].data();
            (kind == 0 ? both[i]->binary : kind == 1 ? both[i]->conv : both[i]->narrow)(l, r);
            if (kind == 2) {
                const uint16_t* maps[2] = {bits[0].data(), bits[0].data()};
                std::vector<float> sums(n * wide);
                both[i]->accumulate(maps, r.bits_pixel, scale.data(), 2, n, vectors, sums.data());
                out[i].insert(out[i].end(), sums.begin(), sums.end());
            }
        }
        compared += static_cast<long>(out[0].size());
        if (std::memcmp(out[0].data(), out[1].data(), out[0].size() * 4) ||
            std::memcmp(bits[0].data(), bits[1].data(), bits[0].size() * 2)) {
            std::printf("round %d: kind %d differs\n", round, kind);
            return 1;
        }
    }
    std::printf("%ld outputs are equal\n", compared);
}
