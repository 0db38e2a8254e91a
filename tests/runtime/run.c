/* Runs models by bbnas.h: run ISA HEIGHT WIDTH THREADS TILE TIMES PIXELS MODEL...
 * PIXELS is a file of uint8, of which each model takes as many as it has channels. The outputs, float,
 * go to standard output. */
#include <stdio.h>
#include <stdlib.h>

#include "bbnas.h"

static int failed(const char *what) {
    fprintf(stderr, "error: %s\n", what);
    return 2;
}

int main(int argc, char **argv) {
    if (argc < 9) return failed("too few words");
    const int height = atoi(argv[2]), width = atoi(argv[3]);
    for (int i = 8; i < argc; i++) {
        bbn_model *model = bbn_load(argv[i], argv[1]);
        if (!model) return failed(bbn_error());
        const int scale = bbn_scale(model), channels = bbn_channels(model);
        const size_t pixels = (size_t)height * width * channels;
        unsigned char *in = malloc(pixels);
        float *out = malloc(pixels * scale * scale * sizeof *out);
        FILE *file = fopen(argv[7], "rb");
        if (!file || fread(in, 1, pixels, file) != pixels) return failed("too few pixels");
        fclose(file);
        bbn_image from = {in, height, width, 1, 0, 0, 0};
        bbn_image to = {out, height * scale, width * scale, 4, 0, 0, 0};
        for (int times = atoi(argv[6]); times > 0; times--)
            if (bbn_run(model, &from, &to, atoi(argv[4]), atoi(argv[5]))) return failed(bbn_error());
        fwrite(out, sizeof *out, pixels * scale * scale, stdout);
        free(in), free(out), bbn_free(model);
    }
    return 0;
}
