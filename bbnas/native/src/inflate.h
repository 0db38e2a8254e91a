// Unpacks zlib's format (RFC 1950, RFC 1951) from untrusted bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace bbnas {

class Inflate {
  public:
    // The unpacked bytes, which must be `length`; throws std::runtime_error for anything else.
    static std::vector<uint8_t> run(const uint8_t* data, size_t size, size_t length) {
        Inflate unpacking(data, size, length);
        unpacking.stream();
        return std::move(unpacking.out_);
    }

  private:
    static constexpr int LONGEST = 15;  // bits of a code

    struct Codes {  // canonical: the number of codes of each length, and the symbols in their order
        uint16_t count[LONGEST + 1] = {};
        uint16_t symbols[288] = {};

        Codes(const uint8_t* lengths, int n) {
            for (int i = 0; i < n; i++) count[lengths[i]]++;
            count[0] = 0;
            int left = 1;
            uint16_t first[LONGEST + 2] = {};
            for (int length = 1; length <= LONGEST; length++) {
                left = 2 * left - count[length];
                if (left < 0) damaged();
                first[length + 1] = static_cast<uint16_t>(first[length] + count[length]);
            }
            for (int i = 0; i < n; i++)
                if (lengths[i]) symbols[first[lengths[i]]++] = static_cast<uint16_t>(i);
        }
    };

    Inflate(const uint8_t* data, size_t size, size_t length)
        : data_(data), size_(size), length_(length) {}

    [[noreturn]] static void damaged() { throw std::runtime_error("its header does not unpack"); }

    uint32_t byte() {
        if (at_ >= size_) damaged();
        return data_[at_++];
    }
    int bits(int count) {
        while (held_ < count) buffer_ |= byte() << held_, held_ += 8;
        const int value = static_cast<int>(buffer_ & ((1u << count) - 1));
        buffer_ >>= count, held_ -= count;
        return value;
    }
    void put(uint8_t value) {
        if (out_.size() >= length_) damaged();
        out_.push_back(value);
    }
    int symbol(const Codes& codes) {
        int code = 0, first = 0, index = 0;
        for (int length = 1; length <= LONGEST; length++) {
            code |= bits(1);
            const int count = codes.count[length];
            if (code - count < first) return codes.symbols[index + code - first];
            index += count, first = (first + count) << 1, code <<= 1;
        }
        damaged();
    }

    void stream() {
        const uint32_t method = byte(), flags = byte();
        if ((method & 15) != 8 || method >> 4 > 7 || flags & 32 || (method << 8 | flags) % 31)
            damaged();
        for (bool last = false; !last;) {
            last = bits(1);
            switch (bits(2)) {
                case 0: stored(); break;
                case 1: fixed(); break;
                case 2: dynamic(); break;
                default: damaged();
            }
        }
        uint32_t a = 1, b = 0, sum = 0;
        for (const uint8_t value : out_) a = (a + value) % 65521, b = (b + a) % 65521;
        held_ = 0;
        for (int i = 0; i < 4; i++) sum = sum << 8 | byte();
        if (sum != (b << 16 | a) || at_ != size_ || out_.size() != length_) damaged();
    }
    void stored() {
        buffer_ = 0, held_ = 0;
        uint32_t length = byte();
        length |= byte() << 8;
        uint32_t inverse = byte();
        inverse |= byte() << 8;
        if ((length ^ inverse) != 0xffff) damaged();
        while (length--) put(static_cast<uint8_t>(byte()));
    }
    void fixed() {
        uint8_t lengths[288], distances[30];
        for (int i = 0; i < 288; i++) lengths[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
        for (uint8_t& d : distances) d = 5;
        block(Codes(lengths, 288), Codes(distances, 30));
    }
    void dynamic() {
        static constexpr uint8_t ORDER[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                              11, 4,  12, 3, 13, 2, 14, 1, 15};
        const int literals = bits(5) + 257, distances = bits(5) + 1, codes = bits(4) + 4;
        if (literals > 286 || distances > 30) damaged();
        uint8_t lengths[286 + 30] = {};
        for (int i = 0; i < codes; i++) lengths[ORDER[i]] = static_cast<uint8_t>(bits(3));
        const Codes of_lengths(lengths, 19);
        for (int i = 0; i < literals + distances;) {
            const int found = symbol(of_lengths);
            int value = found, times = 1;
            if (found == 16) {
                if (i == 0) damaged();
                value = lengths[i - 1], times = 3 + bits(2);
            } else if (found > 16) {
                value = 0, times = found == 17 ? 3 + bits(3) : 11 + bits(7);
            }
            if (i + times > literals + distances) damaged();
            while (times--) lengths[i++] = static_cast<uint8_t>(value);
        }
        if (!lengths[256]) damaged();  // no end of the block
        block(Codes(lengths, literals), Codes(lengths + literals, distances));
    }
    void block(const Codes& literals, const Codes& distances) {
        static constexpr uint16_t LENGTHS[29] = {3,  4,  5,  6,  7,  8,  9,  10,  11,  13,
                                                 15, 17, 19, 23, 27, 31, 35, 43,  51,  59,
                                                 67, 83, 99, 115, 131, 163, 195, 227, 258};
        static constexpr uint16_t DISTANCES[30] = {
            1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
            193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
        for (int found; (found = symbol(literals)) != 256;) {
            if (found < 256) {
                put(static_cast<uint8_t>(found));
                continue;
            }
            const int i = found - 257;
            if (i >= 29) damaged();
            int length = LENGTHS[i] + bits(i < 8 || i == 28 ? 0 : (i - 4) / 4);
            const int d = symbol(distances);
            if (d >= 30) damaged();
            const size_t distance = DISTANCES[d] + static_cast<size_t>(bits(d < 4 ? 0 : d / 2 - 1));
            if (distance > out_.size()) damaged();
            while (length--) put(out_[out_.size() - distance]);
        }
    }

    const uint8_t* data_;
    size_t size_, length_, at_ = 0;
    uint32_t buffer_ = 0;
    int held_ = 0;
    std::vector<uint8_t> out_;
};

}  // namespace bbnas
