// The rules of a program, those of `check` in bbnas/engine/program.py. A file of a stranger that breaks
// one is refused before any kernel runs.
#include <algorithm>
#include <cmath>
#include <set>

#include "engine.h"
#include "program.h"

namespace bbnas {
namespace {

using Names = std::set<std::string>;

struct Rule {
    std::vector<int> reads;  // kinds of tensors
    int makes;               // a kind of tensor, or -1
    Names needed, allowed;   // arrays
};

const Rule& rule(int kind) {
    static const Names channels{"bias", "scale", "norm_a", "norm_b", "gamma", "beta", "zeta"};
    const auto with = [](Names names, const Names& more, const char* without) {
        names.insert(more.begin(), more.end());
        names.erase(without);
        return names;
    };
    static const Names packed{"threshold", "pack_b"}, statistics{"mean", "std"};
    static const Rule rules[] = {
        {{}, PLANES, {}, statistics},
        {{PLANES, FLOATS}, -1, {"threshold"}, {"pack_b"}},
        {{PLANES, FLOATS}, FLOATS, {}, {}},
        {{PLANES, FLOATS}, FLOATS, {"weight"}, with(with(packed, {"magnitude"}, ""), channels, "scale")},
        {{BITS}, FLOATS, {"weight", "scale"}, with(packed, channels, "bias")},
        {{FLOATS}, PLANES, {"weight"}, {"bias", "magnitude"}},
        {{BITS}, FLOATS, {"factors"}, {}},
        {{PLANES}, PLANES, {}, {}},
        {{PLANES, FLOATS}, -1, {}, statistics},
        {{PLANES}, PLANES, {}, {}},
        {{FLOATS}, PLANES, {}, {}},
    };
    return rules[kind];
}

void check_header(const Program& p) {
    need(1 <= p.scale && p.scale <= MAX_SHUFFLE, "scale out of range");
    need(1 <= p.channels && p.channels <= MAX_CHANNELS, "image channels out of range");
    need(0 <= p.reach && p.reach <= 1 << 16, "reach out of range");
    need(1 <= p.step && p.step <= MAX_SHUFFLE, "step out of range");
    need(2 <= p.ops.size() && p.ops.size() <= MAX_OPS, "too few or too many operations");
    need(1 <= p.tensors.size() && p.tensors.size() <= MAX_TENSORS, "too few or too many tensors");
    for (const BbnTensor& t : p.tensors) {
        need(1 <= t.channels && t.channels <= MAX_CHANNELS, "channels out of range");
        need(1 <= t.scale && t.scale <= MAX_SHUFFLE * MAX_SHUFFLE, "scale of a tensor out of range");
    }
}

void check_shapes(const Program& p, const Op& op, const std::vector<BbnTensor>& inputs,
                  const std::vector<BbnTensor>& outputs) {
    for (const BbnTensor& t : outputs) {
        if (op.kind == INPUT) {
            need(t.channels == p.channels && t.scale == p.step, "not the image");
        } else if (op.kind == UNSHUFFLE) {
            const int u = inputs[0].scale / t.scale;
            need(2 <= u && u <= MAX_SHUFFLE && inputs[0].scale == t.scale * u, "sizes");
            need(inputs[0].channels * u * u == t.channels, "channels");
        } else if (op.kind == BILINEAR) {
            need(p.step == 1 && inputs[0].scale == 1 && t.channels == inputs[0].channels &&
                     t.scale == p.scale, "sizes");
        } else {
            for (const BbnTensor& in : inputs) need(in.scale * op.shuffle == t.scale, "sizes");
        }
        need(t.channels == outputs[0].channels && t.scale == outputs[0].scale, "output and bits differ");
    }
    const int channels = outputs.empty() ? 0 : outputs[0].channels;
    if (op.kind == PACK || op.kind == ACCUMULATE)
        for (const BbnTensor& in : inputs) need(in.channels == channels, "channels");
    if (op.kind == SHUFFLE) need(inputs[0].channels == channels * op.shuffle * op.shuffle, "channels");
    if (op.kind == NARROW) need(channels <= 4, "at most 4 channels");
    if (op.kind == OUTPUT)
        need(inputs[0].channels == p.channels && inputs[0].scale == p.scale * p.step, "sizes");
    const bool layer = op.kind == CONV || op.kind == BINARY;
    if (op.residual != -1) {
        const BbnTensor& residual = p.tensors[op.residual];
        const bool planes = op.kind == NARROW || op.kind == SHUFFLE;
        need(layer || planes, "only a convolution or shuffle has a residual");
        need(residual.kind == (planes ? PLANES : FLOATS), "residual kind");
        need(residual.scale == (planes ? outputs : inputs)[0].scale, "residual size");
        need(planes ? residual.channels == channels : residual.channels >= channels, "residual channels");
    }
    need((op.place == PLACE_NONE) == (op.residual == -1 || !layer), "residual and place");
}

// Of a weight; a 1-bit convolution has no 1×1 kernel.
int64_t side(const Op& op, const Array& weight) {
    return op.kind != BINARY && !weight.shape.empty() && weight.shape.back() == 1 ? 1 : 3;
}

void check_arrays(const Program& p, const Op& op, const std::vector<BbnTensor>& inputs,
                  const std::vector<BbnTensor>& outputs) {
    const Rule& wanted = rule(op.kind);
    const auto has = [&](const char* name) { return op.arrays.count(name) > 0; };
    for (const std::string& name : wanted.needed) need(has(name.c_str()), "arrays missing or too many");
    for (const auto& [name, array] : op.arrays)
        need(wanted.needed.count(name) || wanted.allowed.count(name), "arrays missing or too many");
    need(has("norm_a") == has("norm_b"), "norm_a without norm_b");
    need(has("mean") == has("std"), "mean without std");
    need((op.activation == ACT_PRELU) == has("beta"), "prelu and beta");
    need(has("beta") || !(has("gamma") || has("zeta")), "gamma or zeta without prelu");
    need(op.bits == -1 || has("threshold"), "bits without threshold");
    need(op.bits != -1 || !(has("threshold") || has("pack_b")), "threshold without bits");
    need(!has("pack_b") || has("threshold"), "pack_b without threshold");
    const int64_t channels = outputs.empty() ? p.channels : outputs[0].channels;
    const int64_t wide = channels * op.shuffle * op.shuffle;
    for (const auto& [name, array] : op.arrays) {
        std::vector<int64_t> shape{wide};
        if (name == "weight")
            shape = {wide, inputs[0].channels, side(op, array), side(op, array)};
        else if (name == "threshold" || name == "pack_b" || name == "mean" || name == "std")
            shape = {channels};
        else if (name == "factors")
            shape = {static_cast<int64_t>(op.inputs.size())};
        const bool bits = name == "weight" && (op.kind == BINARY || has("magnitude"));
        need(bits != array.bits.empty(), "an array has the wrong type");
        need(array.shape == shape, "an array has the wrong shape");
        for (const float value : array.floats) need(std::isfinite(value), "an array is not finite");
    }
}

void check_op(const Program& p, const Op& op, std::set<int>& made) {
    need(1 <= op.shuffle && op.shuffle <= MAX_SHUFFLE, "shuffle out of range");
    need(1e-30f < std::abs(op.factor) && std::abs(op.factor) < 1e30f, "factor is 0 or not finite");
    need(0 <= op.slope && op.slope <= 1, "slope out of range");
    for (const int t : op.inputs) need(made.count(t) > 0, "reads a tensor before an operation makes it");
    need(op.residual == -1 || made.count(op.residual), "reads a tensor before an operation makes it");
    std::vector<BbnTensor> inputs, outputs;
    for (const int t : {op.output, op.bits}) {
        if (t == -1) continue;
        need(0 <= t && t < static_cast<int>(p.tensors.size()), "makes a tensor that is not listed");
        need(made.insert(t).second, "makes a tensor twice");
        outputs.push_back(p.tensors[t]);
    }
    for (const int t : op.inputs) inputs.push_back(p.tensors[t]);
    const bool layer = op.kind == CONV || op.kind == BINARY;
    const Rule& wanted = rule(op.kind);
    need(op.output == -1 || p.tensors[op.output].kind == wanted.makes, "output kind");
    need(op.bits == -1 || p.tensors[op.bits].kind == BITS, "bits kind");
    need(op.bits == -1 || layer || op.kind == PACK, "only a convolution or pack makes bits");
    if (op.kind == PACK)
        need(op.output == -1 && op.bits != -1, "must make bits and no output");
    else if (op.kind == OUTPUT)
        need(outputs.empty(), "must not make a tensor");
    else
        need(!outputs.empty() && (layer || op.output != -1), "must make a tensor");
    need(layer || op.shuffle == 1 || op.kind == SHUFFLE, "only a convolution has a shuffle");
    need(layer || (op.activation == ACT_NONE && op.slope == 1), "only a convolution has an activation");
    need(layer || op.place == PLACE_NONE, "only a convolution has a place of the residual");
    if (op.kind == ACCUMULATE)
        need(!inputs.empty() && inputs.size() <= MAX_OPS, "wrong number of inputs");
    else
        need(inputs.size() == (op.kind == INPUT ? 0 : 1), "wrong number of inputs");
    for (const BbnTensor& in : inputs)
        need(std::count(wanted.reads.begin(), wanted.reads.end(), in.kind) > 0,
             "reads a tensor of the wrong kind");
    check_shapes(p, op, inputs, outputs);
    check_arrays(p, op, inputs, outputs);
}

}  // namespace

void check(const Program& p) {
    check_header(p);
    std::set<int> made, read;
    for (size_t i = 0; i < p.ops.size(); i++) {
        try {
            check_op(p, p.ops[i], made);
        } catch (const Fault& fault) {
            throw Fault("operation " + std::to_string(i) + " (" + OP_KINDS[p.ops[i].kind] + "): " +
                        fault.what());
        }
        read.insert(p.ops[i].inputs.begin(), p.ops[i].inputs.end());
        if (p.ops[i].residual != -1) read.insert(p.ops[i].residual);
    }
    need(made.size() == p.tensors.size(), "no operation makes one of the tensors");
    const auto count = [&](int kind) {
        return std::count_if(p.ops.begin(), p.ops.end(), [&](const Op& op) { return op.kind == kind; });
    };
    need(p.ops.front().kind == INPUT && count(INPUT) == 1, "must start with one input");
    need(p.ops.back().kind == OUTPUT && count(OUTPUT) == 1, "must end with one output");
    need(read.size() == p.tensors.size(), "no operation reads one of the tensors");
}

}  // namespace bbnas
