/* bbnas.h: restores images by a packed 1-bit network, a .bbn file.
 *
 *     bbn_model *model = bbn_load("model.bbn", NULL);
 *     if (!model) return fprintf(stderr, "error: %s\n", bbn_error()), 2;
 *     bbn_image in = {pixels, height, width, 1}, out = {restored, s * height, s * width, 1};
 *     if (bbn_run(model, &in, &out, 0, 256)) ...
 *     bbn_free(model);
 *
 * where s is bbn_scale(model). A file may come from anyone: its sizes, offsets and values are
 * checked before it is used. docs/deploy.md shows how to compile this. Several threads may call
 * these functions at once; calls with one model take turns.
 */
#ifndef BBN_H
#define BBN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bbn_model bbn_model;

/* Pixels in the caller's memory: `bytes` is 1 for uint8, 4 for float in 0..1. `row`, `pixel` and
 * `channel` are the distances between neighbours in elements. All 0, they stand for rows without
 * gaps, whose pixels hold their channels side by side (RGBRGB…). */
typedef struct {
    void *data;
    int32_t height, width, bytes;
    int64_t row, pixel, channel;
} bbn_image;

/* An operation of a model. `kind` is such as "binary", `part` "body"; `inputs` and `outputs` count
 * channels, outputs before PixelShuffle; `scale` is the grid it runs on, in LQ sizes. */
typedef struct {
    const char *kind, *part;
    int32_t inputs, outputs, scale;
} bbn_operation;

/* The version of this interface. */
#define BBN_VERSION 6
int bbn_version(void);

/* Returns 1 if this machine can run the instruction set: avx512, avx2, neon or portable. */
int bbn_can(const char *isa);

/* Loads a model for an instruction set; NULL for the best one of this machine. Returns NULL on
 * failure. bbn_load_bytes takes the content of a file. */
bbn_model *bbn_load(const char *path, const char *isa);
bbn_model *bbn_load_bytes(const void *content, size_t size, const char *isa);
void bbn_free(bbn_model *model);

/* Why the last call of this thread failed, as a line for a person. */
const char *bbn_error(void);

/* Width and height of the output over those of the input; channels of both (3 RGB, 1 luma); the
 * distance, in input pixels, over which a pixel can change the output; the instruction set. */
int bbn_scale(const bbn_model *model);
int bbn_channels(const bbn_model *model);
int bbn_reach(const bbn_model *model);
const char *bbn_isa(const bbn_model *model);

/* Restores `in` to `out`, which has `scale` times its size; returns 0, or 1 on failure. uint8 outputs
 * are clamped and rounded. `threads`: 0 for all cores. `tile`: the largest side, in input pixels,
 * that is restored at once, which bounds the memory and does not change the result; 0 for the
 * whole image. A tile below four times the reach costs much time. */
int bbn_run(bbn_model *model, const bbn_image *in, const bbn_image *out, int threads, int tile);

/* As bbn_run without tiles, and writes the processor seconds of each operation, summed over the
 * threads, to `seconds`, an array of bbn_operations(model). */
int bbn_profile(bbn_model *model, const bbn_image *in, const bbn_image *out, int threads,
                double *seconds);
int bbn_operations(const bbn_model *model);
bbn_operation bbn_operation_at(const bbn_model *model, int index);

/* Bytes of memory of the last run, without its images and the weights. */
int64_t bbn_peak_bytes(const bbn_model *model);

#ifdef __cplusplus
}
#endif
#endif
