// A network as a list of operations, as a .bbn file holds it; bbnas/engine/program.py describes it.
#pragma once
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace bbnas {

enum TensorKind { PLANES, FLOATS, BITS };
enum OpKind {
    INPUT, PACK, REPEAT, CONV, BINARY, NARROW, ACCUMULATE, BILINEAR, OUTPUT, UNSHUFFLE, SHUFFLE
};
constexpr const char* TENSOR_KINDS[] = {"planes", "floats", "bits"};
constexpr const char* OP_KINDS[] = {"input",  "pack",       "repeat",   "conv",   "binary", "narrow",
                                    "accumulate", "bilinear", "output", "unshuffle", "shuffle"};
// In the order of the enums of engine.h.
constexpr const char* ACTIVATIONS[] = {"none", "prelu", "hardtanh"};
constexpr const char* PLACES[] = {"none", "before", "after"};

struct BbnTensor {
    int32_t kind, channels, scale;
};

// Numbers, or the bits of a weight (C_out, C_in, k, k).
struct Array {
    std::vector<int64_t> shape;
    std::vector<float> floats;
    std::vector<uint8_t> bits;  // in the order (C_out, k, k, C_in), eight a byte

    bool one(int64_t out, int64_t tap, int64_t in) const {
        const int64_t at = (out * shape[2] * shape[3] + tap) * shape[1] + in;
        return bits[at / 8] >> (at % 8) & 1;
    }
};

struct Op {
    int kind = INPUT;
    std::vector<int> inputs;
    int output = -1, bits = -1, residual = -1, shuffle = 1;
    int activation = 0, place = 0;
    bool zeta_first = false;
    float factor = 1, slope = 1;
    std::string part;
    std::map<std::string, Array> arrays;

    const Array* find(const char* name) const {
        const auto found = arrays.find(name);
        return found == arrays.end() ? nullptr : &found->second;
    }
};

struct Program {
    int scale = 1, channels = 1, reach = 0, step = 1;
    std::vector<BbnTensor> tensors;
    std::vector<Op> ops;
};

// What is wrong with a program or a file.
struct Fault : std::runtime_error {
    using std::runtime_error::runtime_error;
};

inline void need(bool condition, const char* otherwise) {
    if (!condition) throw Fault(otherwise);
}

// Upper bounds of what a hostile file can make the engine allocate.
constexpr int MAX_OPS = 2048, MAX_TENSORS = 4096, MAX_CHANNELS = 1 << 12, MAX_SHUFFLE = 4;

// The program of a .bbn file's content. Throws Fault for a file that is damaged, of another version,
// or no program that the engine can run.
Program read_program(const uint8_t* content, size_t size);

// Throws Fault unless the engine can run the program within the bounds of its memory.
void check(const Program& program);

}  // namespace bbnas
