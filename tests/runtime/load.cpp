// Loads each content of a file of (length, content) pairs by bbnas.h, and runs what is a model. Prints
// how many were refused and how many ran.
#include <cstdio>
#include <vector>

#include "bbnas.h"
#include "engine.h"

namespace bbnas {  // only portable code is linked and run
#if defined(__x86_64__)
const Kernels kernels_avx2{}, kernels_avx512{};
#elif defined(__aarch64__)
const Kernels kernels_neon{};
#endif
}  // namespace bbnas

int main(int, char** argv) {
    FILE* file = std::fopen(argv[1], "rb");
    int refused = 0, ran = 0;
    for (uint64_t size; std::fread(&size, sizeof size, 1, file) == 1;) {
        std::vector<char> content(size);
        if (std::fread(content.data(), 1, size, file) != size) return 1;
        bbn_model* model = bbn_load_bytes(content.data(), content.size(), "portable");
        if (!model) {
            refused += *bbn_error() != 0;
            continue;
        }
        const int height = 5, width = 7, scale = bbn_scale(model);
        const size_t pixels = size_t{5} * 7 * bbn_channels(model);
        std::vector<unsigned char> in(pixels, 100), out(pixels * scale * scale);
        const bbn_image from{in.data(), height, width, 1, 0, 0, 0};
        const bbn_image to{out.data(), height * scale, width * scale, 1, 0, 0, 0};
        if (bbn_run(model, &from, &to, 1, 4)) return 1;
        ran++;
        bbn_free(model);
    }
    std::fclose(file);
    std::printf("%d %d\n", refused, ran);
}
