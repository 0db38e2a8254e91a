// Reads the .bbn format, which docs/deploy.md specifies byte by byte.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "inflate.h"
#include "json.h"
#include "program.h"
#include "sha256.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the numbers of a .bbn file are little-endian, and are used as they lie there"
#endif

namespace bbnas {
namespace {

constexpr uint8_t MAGIC[] = {0x89, 'B', 'B', 'N', '\r', '\n', 0x1a, '\n'};
constexpr uint32_t VERSION = 3;  // earlier files are files of it
constexpr size_t PREFIX = 64, ALIGN = 64;
constexpr uint32_t MAX_HEADER = 1 << 24;
constexpr uint64_t MAX_FILE = 1ull << 31;

template <class T>
T number(const uint8_t* at) {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

// ---- fields of the header -------------------------------------------------------------------

const Json& field(const Json& object, const char* name) {
    const Json* const found = object.find(name);
    if (!found) throw Fault(std::string("no ") + name);
    return *found;
}

const Json& is(const Json& value, Json::Type type) {
    need(value.type == type, "a value of the header is of the wrong type");
    return value;
}

const std::vector<Json>& list(const Json& value, size_t most) {
    need(is(value, Json::LIST).list.size() <= most, "a list that is too long");
    return value.list;
}

const std::vector<Json>& row(const Json& value, size_t length) {
    need(list(value, length).size() == length, "a list that is too short");
    return value.list;
}

int64_t integer(const Json& value) {
    need(std::abs(is(value, Json::INTEGER).integer) <= int64_t{1} << 40, "a number out of range");
    return value.integer;
}

int small(const Json& value) {
    need(std::abs(integer(value)) <= INT32_MAX, "a number out of range");
    return static_cast<int>(value.integer);
}

float real(const Json& value) {
    need(value.type == Json::INTEGER || value.type == Json::NUMBER,
         "a value of the header is of the wrong type");
    return static_cast<float>(value.number);
}

template <size_t N>
int choice(const Json& value, const char* const (&names)[N]) {
    for (size_t i = 0; i < N; i++)
        if (is(value, Json::TEXT).text == names[i]) return static_cast<int>(i);
    throw Fault("unknown " + value.text.substr(0, 40));
}

// ---- operations and arrays ------------------------------------------------------------------

Op op_of(const Json& fields) {
    Op op;
    op.kind = choice(field(is(fields, Json::OBJECT), "kind"), OP_KINDS);
    for (size_t i = 0; i < fields.names.size(); i++) {
        const std::string& name = fields.names[i];
        const Json& value = fields.list[i];
        if (name == "inputs") {
            op.inputs.clear();
            for (const Json& t : list(value, MAX_OPS)) op.inputs.push_back(small(t));
        } else if (name == "output") {
            op.output = small(value);
        } else if (name == "bits") {
            op.bits = small(value);
        } else if (name == "residual") {
            op.residual = small(value);
        } else if (name == "shuffle") {
            op.shuffle = small(value);
        } else if (name == "activation") {
            op.activation = choice(value, ACTIVATIONS);
        } else if (name == "place") {
            op.place = choice(value, PLACES);
        } else if (name == "zeta_first") {
            op.zeta_first = is(value, Json::BOOL).truth;
        } else if (name == "factor") {
            op.factor = real(value);
        } else if (name == "slope") {
            op.slope = real(value);
        } else if (name == "part") {
            op.part = is(value, Json::TEXT).text;
        } else {
            need(name == "kind", "an unknown field of an operation");
        }
    }
    return op;
}

Array array_of(const uint8_t* data, size_t size, const std::string& type, const Json& sides) {
    Array array;
    uint64_t count = 1;
    for (const Json& side : list(sides, 4)) {
        array.shape.push_back(integer(side));
        need(array.shape.back() >= 1, "shape of an array");
        const uint64_t length = static_cast<uint64_t>(array.shape.back());
        need(length <= MAX_FILE * 8 / count, "size of an array");  // no product overflows
        count *= length;
    }
    if (type == "f4") {
        need(size == 4 * count, "size of an array");
        array.floats.resize(count);
        std::memcpy(array.floats.data(), data, size);
    } else {
        need(type == "u1" && array.shape.size() == 4 && size == (count + 7) / 8,
             "size or type of an array");
        array.bits.assign(data, data + size);
        need(count % 8 == 0 || array.bits.back() >> (count % 8) == 0, "bits beyond an array");
    }
    return array;
}

Program program_of(const Json& header, const uint8_t* data, size_t size) {
    is(header, Json::OBJECT);
    is(field(header, "design"), Json::OBJECT), is(field(header, "task"), Json::TEXT);
    Program program;
    program.scale = small(field(header, "scale"));
    program.channels = small(field(header, "channels"));
    program.reach = small(field(header, "reach"));
    if (header.find("step")) program.step = small(field(header, "step"));
    for (const Json& t : list(field(header, "tensors"), MAX_TENSORS)) {
        const auto& values = row(t, 3);
        program.tensors.push_back({choice(values[0], TENSOR_KINDS), small(values[1]), small(values[2])});
    }
    for (const Json& op : list(field(header, "ops"), MAX_OPS)) program.ops.push_back(op_of(op));
    int64_t end = 0;
    for (const Json& entry : list(field(header, "arrays"), 32 * MAX_OPS)) {
        const auto& values = row(entry, 6);
        const int64_t index = integer(values[0]), offset = integer(values[4]);
        const int64_t length = integer(values[5]), most = static_cast<int64_t>(size);
        const std::string& name = is(values[1], Json::TEXT).text;
        need(0 <= index && index < static_cast<int64_t>(program.ops.size()), "array of no operation");
        auto& arrays = program.ops[static_cast<size_t>(index)].arrays;
        need(!arrays.count(name), "array twice");
        need(offset % static_cast<int64_t>(ALIGN) == 0 && offset >= end && length >= 0 &&
                 offset <= most && length <= most - offset,
             "array beyond the file");
        end = offset + length;
        arrays[name] = array_of(data + offset, static_cast<size_t>(length),
                                is(values[2], Json::TEXT).text, values[3]);
    }
    need(end == static_cast<int64_t>(size), "bytes that no array holds");
    return program;
}

}  // namespace

Program read_program(const uint8_t* content, size_t size) {
    need(size >= sizeof MAGIC && !std::memcmp(content, MAGIC, sizeof MAGIC), "no .bbn file");
    need(size >= PREFIX, "truncated");
    const uint32_t version = number<uint32_t>(content + 8), stored = number<uint32_t>(content + 12);
    const uint32_t length = number<uint32_t>(content + 16), zero = number<uint32_t>(content + 20);
    const uint64_t whole = number<uint64_t>(content + 24);
    if (version < 1 || version > VERSION)
        throw Fault("format version " + std::to_string(version) + ", this bbnas reads 1 to " +
                    std::to_string(VERSION) + ": upgrade it");
    if (zero != 0 || whole != size)
        throw Fault("truncated or damaged: " + std::to_string(size) + " bytes of " +
                    std::to_string(whole));
    need(size <= MAX_FILE, "larger than 2 GiB");
    const auto digest = sha256(content + PREFIX, size - PREFIX);
    need(!std::memcmp(digest.data(), content + 32, digest.size()), "damaged: its checksum does not fit");
    const uint64_t start = (PREFIX + uint64_t{stored} + ALIGN - 1) / ALIGN * ALIGN;
    need(length <= MAX_HEADER && start <= size, "header sizes");
    const auto text = Inflate::run(content + PREFIX, stored, length);
    Program program = program_of(JsonReader::read(text.data(), text.size()), content + start,
                                 size - static_cast<size_t>(start));
    check(program);
    return program;
}

}  // namespace bbnas
