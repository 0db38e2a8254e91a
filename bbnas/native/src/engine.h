// The interface between the executor (stream.h) and the kernels of each instruction set.
#pragma once
#include <cstddef>
#include <cstdint>

namespace bbnas {

// Channels are handled in vectors of 16 on every instruction set. Arrays over channels are padded
// to a multiple of it with values that keep the bits of padding at 0. No sum reads padding but with a
// weight of 0.
constexpr int LANES = 16;

enum Activation { ACT_NONE, ACT_PRELU, ACT_HARDTANH };
enum Place { PLACE_NONE, PLACE_BEFORE, PLACE_AFTER };  // of the residual: before the activation
enum Packing { PACK_NONE, PACK_ABOVE, PACK_AFFINE };

// The operations on each output of a convolution, in PyTorch's order. No product is fused with a sum,
// so equal inputs give the same bits as PyTorch.
struct Epilogue {
    const float *scale, *norm_a, *norm_b, *gamma, *beta, *zeta, *pack_a, *pack_b;
    int activation, place, zeta_first, packing;
    float slope;  // of a LeakyReLU at the end; 1 for none
    int half;  // the channel whose vector of bits is followed by 16 unused bits; or -1
};

struct Layer {
    int in;       // channels of a full-precision input; words of 32 channels of a 1-bit one
    int vectors;  // number of vectors of 16 outputs
    int narrow;   // number of outputs of a narrow convolution (1 to 4)
    int tap = 0, tap_end = 9;  // the taps of a full-precision convolution: all nine, or the middle
    const void* weight;     // conv [taps][in][16·vectors]; binary [3][in][3][16·vectors] words:
                            // of the rows above and at the pixel, and the parity of all 3 rows;
                            // narrow [taps][in/16][narrow][16]
    const float* bias;      // or null
    const float* border;    // binary: the minuend of 2·popcount, [16 borders][16·vectors]
    Epilogue epilogue;
};

// One row of an image; strides are in elements. One pixel before and one after the row is readable.
struct Row {
    int n;     // number of pixels
    int edge;  // borders of the image, as flags: 1 above, 2 below, 4 left of the row, 8 right of it
    const void* in[3];  // the rows above, at and below, at the first pixel
    ptrdiff_t in_pixel, in_channel;
    const float* residual;
    ptrdiff_t residual_pixel, residual_channel;
    float* out;  // null if only the bits are stored
    ptrdiff_t out_pixel, out_channel;
    uint16_t* bits;  // bits of the outputs, or null
    ptrdiff_t bits_pixel;
};

// The words that a block reads: of the pixels in the rows above and at it, their parities, and the
// weights of the first column of taps.
struct Words {
    const uint32_t *upper, *middle, *odd, *weight;
};

struct Kernels {
    void (*binary)(const Layer&, const Row&);
    void (*conv)(const Layer&, const Row&);
    void (*narrow)(const Layer&, const Row&);
    // the bits of x (n pixels, full precision or planes) by the layer's packing
    void (*pack)(const Layer&, const Row&);
    // out = Σ_j scale_j · (±1 by bit j), (n, 16·vectors) of `count` rows of bits
    void (*accumulate)(const uint16_t* const* bits, ptrdiff_t bits_pixel, const float* scales,
                       int count, int n, int vectors, float* out);
    // one row of one plane, bilinear: (1 − t)·upper + t·lower, `scale` outputs a pixel
    void (*bilinear)(const float* upper, const float* lower, float t, int scale, int first, int n,
                     int width, float* out);
    // clamp to 0..1, multiply by 255, round half to even; NaN gives 0
    void (*quantize)(const float* in, int n, uint8_t* out);
    // `times` counts of 16 outputs and three words: the bit counting of a 1-bit convolution alone
    float (*counting)(int64_t times);
};

extern const Kernels kernels_portable;
#if defined(__x86_64__)
extern const Kernels kernels_avx2, kernels_avx512;
#elif defined(__aarch64__)
extern const Kernels kernels_neon;
#endif

}  // namespace bbnas
