// The arrays of a program as the kernels read them. Only engine.cpp and plan.h include this file.
#pragma once
#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <vector>

#include "engine.h"
#include "program.h"

namespace bbnas {
namespace {

int padded(int channels) { return (channels + LANES - 1) / LANES * LANES; }

// An operation with its arrays in place. `channels` are those of a pixel of its output.
struct BbnOp {
    int32_t kind, input, output, bits, residual;
    int32_t in_channels, channels, shuffle;
    int32_t activation, place, zeta_first, packing, standardise, inputs;
    int32_t kernel;  // side of the weights: 3 or 1
    float factor, slope;
    const void* weight;
    const float* border;
    const int32_t* more;  // the input tensors of ACCUMULATE
    const float *bias, *scale, *norm_a, *norm_b, *gamma, *beta, *zeta, *pack_a, *pack_b;
    const float *mean, *std, *factors;
};

int taps(const BbnOp& op) { return op.kernel * op.kernel; }

// Output channels come in s² parts, by their position in PixelShuffle's square, each padded to vectors:
// channel c of part g is number c·s² + g in the file.
class Layout {
  public:
    std::vector<BbnOp> ops;

    explicit Layout(const Program& program) {
        for (const Op& op : program.ops) add(program, op);
    }

  private:
    static constexpr std::align_val_t LINE{64};  // of the cache
    struct Release {
        void operator()(void* memory) const { operator delete(memory, LINE); }
    };
    std::vector<std::unique_ptr<void, Release>> memory_;

    template <class T>
    T* make(size_t count) {
        memory_.emplace_back(operator new(count * sizeof(T), LINE));
        std::memset(memory_.back().get(), 0, count * sizeof(T));
        return static_cast<T*>(memory_.back().get());
    }

    void add(const Program& program, const Op& op) {
        BbnOp made{};
        const int target = op.output >= 0 ? op.output : op.bits;
        made.kind = op.kind, made.output = op.output, made.bits = op.bits;
        made.input = op.inputs.empty() ? -1 : op.inputs[0], made.residual = op.residual;
        made.in_channels = op.inputs.empty() ? 0 : program.tensors[op.inputs[0]].channels;
        made.channels = target >= 0 ? program.tensors[target].channels : program.channels;
        made.shuffle = op.shuffle, made.activation = op.activation, made.place = op.place;
        made.zeta_first = op.zeta_first, made.inputs = static_cast<int>(op.inputs.size());
        made.factor = op.factor, made.slope = op.slope;
        if (const Array* const weight = op.find("weight"))
            made.kernel = static_cast<int32_t>(weight->shape.back());
        if (op.kind == BINARY)
            binary(op, made);
        else if (op.kind == CONV)
            made.weight = conv(op, made);
        else if (op.kind == NARROW)
            made.weight = narrow(op, made);
        const auto wide = [&](const char* name) { return per_channel(op.find(name), made, op.shuffle, 0); };
        made.bias = wide("bias"), made.scale = wide("scale");
        made.norm_a = wide("norm_a"), made.norm_b = wide("norm_b");
        made.gamma = wide("gamma"), made.beta = wide("beta"), made.zeta = wide("zeta");
        // The bits of padding channels must be 0: no value is above infinity.
        const bool affine = op.find("pack_b") != nullptr;
        const float never = affine ? 0 : std::numeric_limits<float>::infinity();
        made.pack_a = per_channel(op.find("threshold"), made, 1, never);
        made.pack_b = per_channel(op.find("pack_b"), made, 1, 0);
        made.packing = op.bits < 0 ? PACK_NONE : affine ? PACK_AFFINE : PACK_ABOVE;
        made.mean = plain(op.find("mean")), made.std = plain(op.find("std"));
        made.factors = plain(op.find("factors"));
        made.standardise = made.mean != nullptr;
        if (op.kind == ACCUMULATE) {
            int32_t* const more = make<int32_t>(op.inputs.size());
            std::copy(op.inputs.begin(), op.inputs.end(), more);
            made.more = more;
        }
        ops.push_back(made);
    }

    const float* plain(const Array* array) {
        if (!array) return nullptr;
        float* const to = make<float>(array->floats.size());
        std::copy(array->floats.begin(), array->floats.end(), to);
        return to;
    }

    // (s², C padded)
    const float* per_channel(const Array* array, const BbnOp& op, int shuffle, float fill) {
        if (!array) return nullptr;
        const int square = shuffle * shuffle, wide = padded(op.channels);
        float* const to = make<float>(static_cast<size_t>(square) * wide);
        for (int g = 0; g < square; g++)
            for (int c = 0; c < wide; c++)
                to[g * wide + c] = c < op.channels ? array->floats[c * square + g] : fill;
        return to;
    }

    // Calls set(output, tap, input, value) for each full-precision weight.
    template <class Set>
    static void each_weight(const Op& op, Set set) {
        const Array& weight = *op.find("weight");
        const Array* const magnitude = op.find("magnitude");
        const int64_t outputs = weight.shape[0], inputs = weight.shape[1];
        const int64_t taps = weight.shape[2] * weight.shape[3];
        for (int64_t o = 0; o < outputs; o++)
            for (int64_t i = 0; i < inputs; i++)
                for (int64_t tap = 0; tap < taps; tap++) {
                    if (!magnitude)
                        set(o, tap, i, weight.floats[(o * inputs + i) * taps + tap]);
                    else
                        set(o, tap, i, weight.one(o, tap, i) ? magnitude->floats[o] : -magnitude->floats[o]);
                }
    }

    // (s², k, k, C_in, C_out padded)
    const float* conv(const Op& op, const BbnOp& made) {
        const int64_t square = op.shuffle * op.shuffle, wide = padded(made.channels);
        const int64_t inputs = made.in_channels;
        float* const to = make<float>(static_cast<size_t>(square * taps(made) * inputs * wide));
        each_weight(op, [&](int64_t o, int64_t tap, int64_t i, float value) {
            to[((o % square * taps(made) + tap) * inputs + i) * wide + o / square] = value;
        });
        return to;
    }

    // (k, k, C_in padded / 16, C_out, 16)
    const float* narrow(const Op& op, const BbnOp& made) {
        const int64_t outputs = made.channels, vectors = padded(made.in_channels) / LANES;
        float* const to = make<float>(static_cast<size_t>(taps(made) * vectors * outputs * LANES));
        each_weight(op, [&](int64_t o, int64_t tap, int64_t i, float value) {
            to[((tap * vectors + i / LANES) * outputs + o) * LANES + i % LANES] = value;
        });
        return to;
    }

    // Words (s², 3, words, 3, C_out padded) of 32 input channels, by column of the taps, and border
    // terms. A column of three taps is stored as the words of its upper two taps and the parity of all
    // three.
    //
    // The kernel counts P = popcount(x XOR w) over all nine taps. A tap outside the image has x = 0,
    // so it counts the ones of its weights. The true sum over the v taps inside is
    // v·C_in + 2·(ones of the taps outside) − 2·P. The border terms are the first two summands,
    // (s², 16, C_out padded), indexed by the set of image borders that the pixel touches.
    void binary(const Op& op, BbnOp& made) {
        const Array& weight = *op.find("weight");
        const int64_t square = op.shuffle * op.shuffle, wide = padded(made.channels);
        const int64_t inputs = made.in_channels, words = (inputs + 31) / 32;
        uint32_t* const to = make<uint32_t>(static_cast<size_t>(square * 9 * words * wide));
        float* const border = make<float>(static_cast<size_t>(square * 16 * wide));
        for (int64_t g = 0; g < square; g++)
            for (int64_t c = 0; c < wide; c++) {
                int ones[9] = {};
                if (c < made.channels) {
                    const int64_t o = c * square + g;
                    for (int64_t word = 0; word < words; word++) {
                        uint32_t taps[9] = {};
                        for (int64_t tap = 0; tap < 9; tap++)
                            for (int64_t i = word * 32; i < std::min(inputs, word * 32 + 32); i++)
                                if (weight.one(o, tap, i)) taps[tap] |= 1u << (i % 32), ones[tap]++;
                        for (int64_t x = 0; x < 3; x++) {
                            const uint32_t column[3] = {taps[x], taps[3 + x],
                                                        taps[x] ^ taps[3 + x] ^ taps[6 + x]};
                            for (int64_t y = 0; y < 3; y++)
                                to[(((g * 3 + x) * words + word) * 3 + y) * wide + c] = column[y];
                        }
                    }
                }
                for (int edge = 0; edge < 16; edge++) {
                    int within = 0, outside = 0;
                    for (int tap = 0; tap < 9; tap++) {
                        const bool out = (edge & 1 && tap < 3) || (edge & 2 && tap >= 6) ||
                                         (edge & 4 && tap % 3 == 0) || (edge & 8 && tap % 3 == 2);
                        out ? outside += ones[tap] : within++;
                    }
                    border[(g * 16 + edge) * wide + c] =
                        static_cast<float>(within * inputs + 2 * outside);
                }
            }
        made.weight = to, made.border = border;
    }
};

}  // namespace
}  // namespace bbnas
