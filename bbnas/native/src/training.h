// Training of one unit: a 3×3 convolution, 1-bit or full-precision, with norm, activation and residual.
#pragma once
#include <cstdint>

namespace bbnas {

enum Scaling { SCALE_NONE, SCALE_MEAN, SCALE_GIVEN };  // MEAN: mean|V_o|, computed here
enum UnitActivation { UNIT_NONE, UNIT_SLOPE, UNIT_HARDTANH };
enum UnitPlace { UNIT_ALONE, UNIT_BEFORE, UNIT_AFTER };  // residual: none, before or after the activation
enum Estimator { EST_IDENTITY, EST_CLIP, EST_QUADRATIC, EST_EDE, EST_TANH };

// y = scale · (sgn(gain · x − α) ⊛ sgn(V)) + bias, or x ⊛ V + bias if the unit is not 1-bit;
// z = [BatchNorm in training](y) [+ residual] − γ; out = PixelShuffle(activation(z) [+ residual] + ζ).
// bbnas/binary/kernels.py mirrors the fields and their order (its Form: one_bit to slope). Tensors are
// float32, contiguous, (N, C, H, W). A null pointer stands for an absent array.
struct Unit {
    int64_t batch, c_in, c_out, height, width;  // c_out before the shuffle
    int64_t one_bit, scaling, activation, place;
    int64_t times;    // 0: `residual` (N, c_out, H, W) is added; else x, each channel `times` times
    int64_t shuffle;  // the factor of PixelShuffle; 1 for none
    int64_t norm;     // whether there is a BatchNorm
    int64_t estimator, weight_estimator, scales_gradient;
    double slope;          // used if β is null
    double t, kt;          // EDE's t and k·t
    double eps, momentum;  // the BatchNorm's
    const float *x, *latent, *alpha, *gain, *steepness, *bias, *gamma, *beta, *zeta, *norm_weight, *norm_bias, *scale,
        *residual;
    float *out, *z;  // z is saved for the backward pass, or null
    float *y, *mean, *deviation;  // the BatchNorm's input, and by channel its mean and 1/√(var + ε)
    float *running_mean, *running_var;  // updated in the forward pass
    const float* grad;  // of out; this and the fields below are for the backward pass only
    float *grad_x, *grad_latent, *grad_alpha, *grad_gain, *grad_steepness, *grad_bias, *grad_gamma, *grad_beta, *grad_zeta,
        *grad_norm_weight, *grad_norm_bias;
    float* grad_residual;  // of `residual`, or null
};

struct TrainingKernels {
    int64_t (*floats)(const Unit&, bool backward);  // number of floats of scratch of the two functions below
    void (*forward)(const Unit&, float* scratch);
    void (*backward)(const Unit&, float* scratch);
};

extern const TrainingKernels training_portable;
#if defined(__x86_64__)
extern const TrainingKernels training_avx2, training_avx512;
#elif defined(__aarch64__)
extern const TrainingKernels training_neon;
#endif

}  // namespace bbnas
