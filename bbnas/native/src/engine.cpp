// Runs a program: plans its buffers for one image size, then streams rows through its operations.
//
// The plan cuts the operations into segments whose working rows stay in the L2 cache. Within a segment
// a tensor is a ring of a few rows: an operation runs for one row when a later operation asks for it.
// Tensors that cross segments are whole images. Each thread computes bands of rows and strips of
// columns of a segment's result. Where these overlap, two threads compute the same values; no thread
// waits for another.
//
// plan.h makes the plan, stream.h runs its tasks. This file holds the memory and the C interface.
#include "engine.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "plan.h"
#include "pool.h"
#include "stream.h"

namespace bbnas {
namespace {

struct Aligned {
    char* data = nullptr;
    size_t bytes = 0;
    Aligned() = default;
    Aligned(const Aligned&) = delete;
    Aligned& operator=(const Aligned&) = delete;
    ~Aligned() { std::free(data); }
    void reserve(size_t wanted) {
        if (wanted <= bytes) return;
        std::free(data);
        data = nullptr, bytes = 0;
        wanted = (wanted + 4095) / 4096 * 4096;
        data = static_cast<char*>(std::aligned_alloc(4096, wanted));
        if (!data) throw std::bad_alloc();
        bytes = wanted;
        std::memset(data, 0, bytes);
    }
};

// One layer for each position of PixelShuffle within its square.
std::vector<Layer> layers_of(const BbnOp& op) {
    std::vector<Layer> layers;
    const int vectors = padded(op.channels) / LANES;
    const int wide = vectors * LANES;
    int in = op.in_channels;
    if (op.kind == BINARY) in = (in + 31) / 32;
    if (op.kind == NARROW) in = padded(in);
    for (int g = 0; g < op.shuffle * op.shuffle; g++) {
        auto part = [&](const float* all) {
            return all ? all + static_cast<size_t>(g) * wide : nullptr;
        };
        Layer l{};
        l.in = in;
        l.vectors = vectors;
        l.narrow = op.channels;
        if (op.weight)  // words and floats both have four bytes
            l.weight = static_cast<const float*>(op.weight) +
                       static_cast<size_t>(g) * taps(op) * in * (op.kind == NARROW ? 0 : wide);
        if (taps(op) == 1) l.tap = 4, l.tap_end = 5;
        l.bias = part(op.bias);
        l.border = op.border ? op.border + static_cast<size_t>(g) * 16 * wide : nullptr;
        l.epilogue = {part(op.scale), part(op.norm_a), part(op.norm_b), part(op.gamma),
                      part(op.beta),  part(op.zeta),   op.pack_a,       op.pack_b,
                      op.activation,  op.place,        op.zeta_first,   op.packing,
                      op.slope,
                      vectors % 2 ? (vectors - 1) * LANES : -1};
        layers.push_back(l);
    }
    return layers;
}

class Model {
  public:
    Model(const BbnTensor* tensors, int tensor_count, const BbnOp* ops, int op_count, int scale,
          int step, const Kernels& kernels)
        : plan_(tensors, tensor_count, ops, op_count, scale, step),
          kernels_(kernels),
          times_(op_count, 0.0) {
        for (int i = 0; i < op_count; i++) layers_.push_back(layers_of(ops[i]));
    }

    std::mutex& mutex() { return mutex_; }
    size_t peak_bytes() const { return peak_; }
    const std::vector<double>& times() const { return times_; }

    void run(Pool& pool, const BbnImage& in, const BbnImage& out, int height, int width,
             int threads, bool profile) {
        prepare(height, width, threads);
        const Job job{kernels_, layers_, in, out, zero_.data, profile};
        std::vector<std::vector<double>> spent(threads, std::vector<double>(times_.size(), 0.0));
        for (const Segment& segment : plan_.segments_)
            pool.run(threads, static_cast<int>(segment.tasks.size()), [&](int task, int thread) {
                Streaming(plan_, job, segment, rings_[thread]->data, spent[thread])
                    .run(segment.tasks[task]);
            });
        std::fill(times_.begin(), times_.end(), 0.0);
        for (const auto& one : spent)
            for (size_t i = 0; i < one.size(); i++) times_[i] += one[i];
    }

  private:
    // Plans for this size of image, and reserves the memory of the plan.
    void prepare(int height, int width, int threads) {
        while (static_cast<int>(rings_.size()) < threads)
            rings_.push_back(std::make_unique<Aligned>());
        if (height == plan_.image_height_ && width == plan_.image_width_ && threads == threads_)
            return;
        threads_ = 0;  // until all memory is reserved
        plan_.make(height, width, threads);
        peak_ = plan_.frame_bytes_ + plan_.zero_bytes_ + plan_.ring_bytes_ * threads;
        // The system may grant more memory than it has, and end the process later.
        if (peak_ / 4 * 5 > physical_bytes()) throw std::bad_alloc();
        frames_.reserve(plan_.frame_bytes_), zero_.reserve(plan_.zero_bytes_);
        for (int i = 0; i < threads; i++) rings_[i]->reserve(plan_.ring_bytes_);
        for (size_t t = 0; t < plan_.frame_of_.size(); t++)
            if (plan_.frame_of_[t].row_bytes)
                plan_.frame_of_[t].base = frames_.data + plan_.frame_offset_[t];
        threads_ = threads;
    }

    Plan plan_;
    const Kernels& kernels_;
    std::vector<std::vector<Layer>> layers_;
    std::vector<double> times_;
    int threads_ = 0;  // for which there is memory
    Aligned frames_, zero_;
    std::vector<std::unique_ptr<Aligned>> rings_;
    size_t peak_ = 0;
    std::mutex mutex_;
};

const Kernels* find_kernels(const std::string& isa) {
    if (isa == "portable") return &kernels_portable;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (isa == "avx2" && avx2) return &kernels_avx2;
    if (isa == "avx512" && avx2 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vpopcntdq"))
        return &kernels_avx512;
#elif defined(__aarch64__)
    if (isa == "neon") return &kernels_neon;
#endif
    return nullptr;
}

std::mutex pool_mutex;
Pool* shared_pool = nullptr;
pid_t pool_owner = 0;

}  // namespace
}  // namespace bbnas

#define EXPORT extern "C" __attribute__((visibility("default")))

// Returns 1 if this machine can run the named instruction set.
EXPORT int bbn_can(const char* isa) { return bbnas::find_kernels(isa) != nullptr; }

EXPORT int bbn_version() { return 5; }

// The sizes of the structures, which must equal the caller's.
EXPORT int64_t bbn_sizes() {
    return static_cast<int64_t>(sizeof(bbnas::BbnOp)) << 32 | sizeof(bbnas::BbnTensor) << 16 |
           sizeof(bbnas::BbnImage);
}

// Returns a model of a checked program (bbnas/engine/program.py), or null if there is not enough
// memory or no such instruction set. The caller keeps the arrays alive.
EXPORT void* bbn_create(const bbnas::BbnTensor* tensors, int tensor_count, const bbnas::BbnOp* ops,
                        int op_count, int scale, int step, const char* isa) {
    try {
        const bbnas::Kernels* kernels = bbnas::find_kernels(isa);
        if (!kernels) return nullptr;
        return new bbnas::Model(tensors, tensor_count, ops, op_count, scale, step, *kernels);
    } catch (const std::exception&) {
        return nullptr;
    }
}

EXPORT void bbn_destroy(void* model) { delete static_cast<bbnas::Model*>(model); }

// Returns 0, or 1 if there is not enough memory. The shared threads serve one call at a time; a
// concurrent call runs on its own thread alone.
EXPORT int bbn_run(void* handle, const bbnas::BbnImage* in, const bbnas::BbnImage* out, int height,
                   int width, int threads, int profile) {
    using namespace bbnas;
    Model& model = *static_cast<Model*>(handle);
    try {
        std::lock_guard<std::mutex> lock(model.mutex());
        std::unique_lock<std::mutex> pool(pool_mutex, std::defer_lock);
        Pool alone;
        Pool* used = &alone;
        if (threads > 1 && pool.try_lock()) {
            // A forked process does not have its parent's threads and cannot join them.
            if (!shared_pool || pool_owner != getpid()) shared_pool = new Pool, pool_owner = getpid();
            used = shared_pool;
        } else {
            threads = 1;
        }
        model.run(*used, *in, *out, height, width, threads, profile != 0);
        return 0;
    } catch (const std::exception&) {
        return 1;
    }
}

EXPORT int64_t bbn_peak_bytes(void* model) {
    return static_cast<int64_t>(static_cast<bbnas::Model*>(model)->peak_bytes());
}

// The CPU seconds of each operation in the last profiled run, summed over threads.
EXPORT void bbn_times(void* model, double* seconds) {
    const auto& times = static_cast<bbnas::Model*>(model)->times();
    std::copy(times.begin(), times.end(), seconds);
}

// `times` counts of three words and 16 outputs, in registers alone; bbn_can(isa) must be 1.
EXPORT float bbn_counting(const char* isa, int64_t times) {
    return bbnas::find_kernels(isa)->counting(times);
}
