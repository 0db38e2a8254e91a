// JSON (RFC 8259) from untrusted bytes.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <locale>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace bbnas {

struct Json {
    enum Type { NONE, BOOL, INTEGER, NUMBER, TEXT, LIST, OBJECT } type = NONE;
    bool truth = false;
    int64_t integer = 0;
    double number = 0;  // of an INTEGER too
    std::string text;
    std::vector<Json> list;  // of an OBJECT its values
    std::vector<std::string> names;

    // The last value of that name, or null.
    const Json* find(const char* name) const {
        for (size_t i = names.size(); i-- > 0;)
            if (names[i] == name) return &list[i];
        return nullptr;
    }
};

class JsonReader {
  public:
    // The value that the text holds; throws std::runtime_error for what is not JSON.
    static Json read(const uint8_t* text, size_t size) {
        JsonReader reader(reinterpret_cast<const char*>(text), size);
        Json value = reader.value(0);
        reader.space();
        if (reader.at_ != reader.end_) reader.damaged();
        return value;
    }

  private:
    static constexpr int DEEPEST = 64, MOST = 1 << 20;  // levels, and values: a bound of the memory

    JsonReader(const char* text, size_t size) : at_(text), end_(text + size) {}

    [[noreturn]] static void damaged() { throw std::runtime_error("its header is no JSON"); }

    void space() {
        while (at_ != end_ && std::strchr(" \t\r\n", *at_) && *at_) at_++;
    }
    bool take(char wanted) {
        if (at_ == end_ || *at_ != wanted) return false;
        at_++;
        return true;
    }
    void need(char wanted) {
        if (!take(wanted)) damaged();
    }
    bool word(const char* wanted) {
        const size_t length = std::strlen(wanted);
        if (static_cast<size_t>(end_ - at_) < length || std::memcmp(at_, wanted, length)) return false;
        at_ += length;
        return true;
    }

    Json value(int depth) {
        if (depth > DEEPEST || ++values_ > MOST) damaged();
        space();
        Json found;
        if (take('{')) {
            found.type = Json::OBJECT;
            space();
            if (take('}')) return found;
            do {
                space();
                need('"');
                found.names.push_back(string());
                space();
                need(':');
                found.list.push_back(value(depth + 1));
                space();
            } while (take(','));
            need('}');
        } else if (take('[')) {
            found.type = Json::LIST;
            space();
            if (take(']')) return found;
            do {
                found.list.push_back(value(depth + 1));
                space();
            } while (take(','));
            need(']');
        } else if (take('"')) {
            found.type = Json::TEXT;
            found.text = string();
        } else if (word("true")) {
            found.type = Json::BOOL, found.truth = true;
        } else if (word("false")) {
            found.type = Json::BOOL;
        } else if (!word("null")) {
            number(found);
        }
        return found;
    }

    void digits() {
        const char* const start = at_;
        while (at_ != end_ && *at_ >= '0' && *at_ <= '9') at_++;
        if (at_ == start) damaged();
    }
    void number(Json& found) {
        const char* const start = at_;
        take('-');
        if (!take('0')) digits();
        bool whole = true;
        if (take('.')) whole = false, digits();
        if (take('e') || take('E')) {
            whole = false;
            if (!take('+')) take('-');
            digits();
        }
        // Not strtod, which reads the comma of the caller's language.
        std::istringstream stream(std::string(start, at_));
        stream.imbue(std::locale::classic());
        stream >> found.number;  // beyond the range of a double it is the largest
        found.type = Json::NUMBER;
        if (whole && std::abs(found.number) < 9e15)
            found.type = Json::INTEGER, found.integer = static_cast<int64_t>(found.number);
    }

    unsigned hex() {
        unsigned value = 0;
        for (int i = 0; i < 4; i++) {
            if (at_ == end_) damaged();
            const char c = *at_++;
            if (c >= '0' && c <= '9')
                value = value << 4 | static_cast<unsigned>(c - '0');
            else if ((c | 32) >= 'a' && (c | 32) <= 'f')
                value = value << 4 | static_cast<unsigned>((c | 32) - 'a' + 10);
            else
                damaged();
        }
        return value;
    }
    void append(std::string& text, unsigned code) {
        if (code < 0x80) {
            text += static_cast<char>(code);
        } else if (code < 0x800) {
            text += static_cast<char>(0xc0 | code >> 6);
            text += static_cast<char>(0x80 | (code & 63));
        } else if (code < 0x10000) {
            text += static_cast<char>(0xe0 | code >> 12);
            text += static_cast<char>(0x80 | (code >> 6 & 63));
            text += static_cast<char>(0x80 | (code & 63));
        } else {
            text += static_cast<char>(0xf0 | code >> 18);
            text += static_cast<char>(0x80 | (code >> 12 & 63));
            text += static_cast<char>(0x80 | (code >> 6 & 63));
            text += static_cast<char>(0x80 | (code & 63));
        }
    }
    std::string string() {
        static constexpr char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
        std::string text;
        for (;;) {
            if (at_ == end_ || static_cast<unsigned char>(*at_) < 0x20) damaged();
            const char c = *at_++;
            if (c == '"') return text;
            if (c != '\\') {
                text += c;
                continue;
            }
            if (at_ == end_) damaged();
            const char escaped = *at_++;
            if (escaped == 'u') {
                unsigned code = hex();
                if (code >= 0xd800 && code < 0xdc00) {  // the first of a pair
                    need('\\'), need('u');
                    const unsigned low = hex();
                    if (low < 0xdc00 || low > 0xdfff) damaged();
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                }
                append(text, code);
                continue;
            }
            const char* const known = std::strchr(FROM, escaped);
            if (!known || !escaped) damaged();
            text += TO[known - FROM];
        }
    }

    const char *at_, *end_;
    int values_ = 0;
};

}  // namespace bbnas
