// The C interface of the training kernels, called by bbnas/binary/kernels.py.
#include "training.h"

#include <memory>
#include <utility>
#include <new>

namespace bbnas {
namespace {

constexpr int64_t KEPT = 1 << 21;  // most floats of scratch that a thread keeps between calls

// Returns 0, or 1 if there is not enough memory.
int run(const TrainingKernels& kernels, const Unit& unit, bool backward) {
    static thread_local std::unique_ptr<float[]> kept;
    static thread_local int64_t size = 0;
    const int64_t floats = kernels.floats(unit, backward);
    std::unique_ptr<float[]> own;
    float* scratch = kept.get();
    if (floats > size) {
        own.reset(new (std::nothrow) float[floats]);
        if (!own) return 1;
        scratch = own.get();
        if (floats <= KEPT) kept = std::move(own), size = floats;
    }
    (backward ? kernels.backward : kernels.forward)(unit, scratch);
    return 0;
}

}  // namespace
}  // namespace bbnas

#define EXPORT extern "C" __attribute__((visibility("default")))
#define TRAIN(isa)                                                                              \
    EXPORT int bbn_forward_##isa(const char* unit) {                                            \
        return bbnas::run(bbnas::training_##isa, *reinterpret_cast<const bbnas::Unit*>(unit),   \
                          false);                                                               \
    }                                                                                           \
    EXPORT int bbn_backward_##isa(const char* unit) {                                           \
        return bbnas::run(bbnas::training_##isa, *reinterpret_cast<const bbnas::Unit*>(unit),   \
                          true);                                                                \
    }

TRAIN(portable)
#if defined(__x86_64__)
TRAIN(avx2)
TRAIN(avx512)
#elif defined(__aarch64__)
TRAIN(neon)
#endif

EXPORT int64_t bbn_unit_size() { return sizeof(bbnas::Unit); }
