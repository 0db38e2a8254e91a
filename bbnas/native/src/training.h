// Training of a 3×3 convolution, 1-bit or full-precision, with what stands around it in a unit.
#pragma once
#include <cstdint>

namespace bbnas {

enum Scaling { SCALE_NONE, SCALE_MEAN, SCALE_GIVEN };  // MEAN: mean|V_o|, computed here
enum UnitActivation { UNIT_NONE, UNIT_SLOPE, UNIT_HARDTANH };
enum UnitPlace { UNIT_ALONE, UNIT_BEFORE, UNIT_AFTER };  // of the residual and the activation
enum Estimator { EST_IDENTITY, EST_CLIP, EST_QUADRATIC, EST_EDE };

// y = scale · (sgn(x − α) ⊛ sgn(V)), or x ⊛ V where it is not 1-bit, + bias;
// z = [BatchNorm in training](y) [+ residual] − γ; out = PixelShuffle(activation(z) [+ residual] + ζ).
// bbnas/binary/kernels.py mirrors the fields and their order. Tensors are float32, contiguous,
// (N, C, H, W); arrays over channels may be null where absent.
struct Unit {
    int64_t batch, c_in, c_out, height, width;  // c_out before the shuffle
    int64_t one_bit, scaling, activation, place;
    int64_t times;    // 0: the residual is a tensor (N, c_out, H, W); else x, each channel so often
    int64_t shuffle;  // PixelShuffle's factor; 1 for none
    int64_t norm;     // whether there is a BatchNorm
    int64_t estimator, weight_estimator, scales_gradient;
    double slope;  // where β is null
    double t, kt;          // of EDE: its t and k·t
    double eps, momentum;  // of the BatchNorm
    const float *x, *latent, *alpha, *bias, *gamma, *beta, *zeta, *norm_weight, *norm_bias, *scale,
        *residual;
    float *out, *z;  // z: for the backward pass, or null
    float *y, *mean, *deviation;  // with a norm: its input and, by channel, mean and 1/√(var + ε)
    float *running_mean, *running_var;  // updated forward
    const float* grad;  // of out; from here on for the backward pass alone
    float *grad_x, *grad_latent, *grad_alpha, *grad_bias, *grad_gamma, *grad_beta, *grad_zeta,
        *grad_norm_weight, *grad_norm_bias;
    float* grad_residual;  // of a residual that is a tensor; or null
};

struct TrainingKernels {
    int64_t (*floats)(const Unit&, bool backward);  // of scratch that the two below need
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
