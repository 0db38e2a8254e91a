// Runs a program: plans its buffers for one image size, then streams rows through its operations.
//
// The plan cuts the operations into segments whose working rows stay in the L2 cache. Within a segment
// a tensor is a ring of a few rows: an operation runs for one row when a later operation asks for it.
// Tensors that cross segments are whole images. Each thread computes bands of rows and strips of
// columns of a segment's result. Where these overlap, two threads compute the same values; no thread
// waits for another.
//
// plan.h makes the plan, stream.h runs its tasks. This file holds the memory and the C interface, which
// bbnas.h describes.
#include "engine.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "bbnas.h"
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
    Model(const Program& program, const Kernels& kernels)
        : layout_(program),
          plan_(program.tensors, layout_.ops, program.scale, program.step),
          kernels_(kernels),
          times_(program.ops.size(), 0.0) {
        for (const BbnOp& op : layout_.ops) layers_.push_back(layers_of(op));
    }

    std::mutex& mutex() { return mutex_; }
    size_t peak_bytes() const { return peak_; }
    const std::vector<double>& times() const { return times_; }

    const Plan& plan() const { return plan_; }

    void run(Pool& pool, const bbn_image& in, const bbn_image& out, int threads, bool profile) {
        prepare(in.height, in.width, threads);
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

    Layout layout_;
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

// Best first.
constexpr const char* ISAS[] = {"avx512", "avx2", "neon", "portable"};

thread_local std::string last_error;

// ---- images -----------------------------------------------------------------------------------

constexpr int MAX_SIDE = 1 << 17, MAX_PIXELS = 1 << 28;

std::string size_of(const bbn_image& image) {
    return std::to_string(image.width) + "×" + std::to_string(image.height);
}

// The image with its distances filled in.
bbn_image strided(const bbn_image& image, int channels) {
    bbn_image found = image;
    if (!found.row && !found.pixel && !found.channel)
        found.channel = 1, found.pixel = channels, found.row = int64_t{channels} * found.width;
    return found;
}

bbn_image part(const bbn_image& image, Range rows, Range columns) {
    bbn_image found = image;
    found.height = rows.hi - rows.lo, found.width = columns.hi - columns.lo;
    const int64_t offset = rows.lo * image.row + columns.lo * image.pixel;
    found.data = static_cast<char*>(image.data) + offset * image.bytes;
    return found;
}

void copy(const bbn_image& from, const bbn_image& to, int channels) {
    for (int64_t y = 0; y < to.height; y++)
        for (int64_t x = 0; x < to.width; x++)
            for (int64_t c = 0; c < channels; c++)
                std::memcpy(
                    static_cast<char*>(to.data) + (y * to.row + x * to.pixel + c * to.channel) * to.bytes,
                    static_cast<const char*>(from.data) +
                        (y * from.row + x * from.pixel + c * from.channel) * from.bytes,
                    static_cast<size_t>(to.bytes));
}

// The fewest parts of `length`, each at most `inner`, whose sizes differ by at most 1.
std::vector<Range> spans(int length, int inner) {
    const int64_t parts = (int64_t{length} + inner - 1) / inner;
    std::vector<Range> found;
    for (int64_t i = 0; i < parts; i++)
        found.push_back({static_cast<int>(length * i / parts), static_cast<int>(length * (i + 1) / parts)});
    return found;
}

}  // namespace
}  // namespace bbnas

struct bbn_model {
    bbnas::Program program;
    const std::string isa;
    bbnas::Model model;

    bbn_model(bbnas::Program read, const std::string& name, const bbnas::Kernels& kernels)
        : program(std::move(read)), isa(name), model(program, kernels) {
        for (bbnas::Op& op : program.ops) op.arrays.clear();  // `model` has laid them out
    }
};

namespace bbnas {
namespace {

// As bbn_run, of checked images without tiles. The shared threads serve one call at a time; a
// concurrent call runs on its own thread alone.
void run_whole(bbn_model& model, const bbn_image& in, const bbn_image& out, int threads, bool profile) {
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
    try {
        model.model.run(*used, in, out, threads, profile);
    } catch (const std::bad_alloc&) {
        throw Fault("no memory for " + size_of(in) + " pixels at once: restore in smaller tiles");
    }
}

// As bbnas/tiling.py: a tile overlaps its neighbours by the reach, and a quarter of it at least is new.
void run_tiled(bbn_model& model, const bbn_image& in, const bbn_image& out, int threads, int tile) {
    const int scale = model.program.scale, margin = model.program.reach, step = model.program.step;
    const int inner = std::max({tile - 2 * margin, tile / 4, 1});
    const int channels = model.program.channels;
    std::vector<char> room;
    for (const Range rows : spans(in.height, inner))
        for (const Range columns : spans(in.width, inner)) {
            const auto around = [&](Range own, int size) {
                return Range{std::max(own.lo - margin, 0) / step * step, std::min(own.hi + margin, size)};
            };
            const Range y = around(rows, in.height), x = around(columns, in.width);
            const bbn_image seen = part(in, y, x);
            bbn_image restored{nullptr, seen.height * scale, seen.width * scale, out.bytes, 0, 0, 0};
            restored = strided(restored, channels);
            room.resize(static_cast<size_t>(restored.row * restored.height * restored.bytes));
            restored.data = room.data();
            run_whole(model, seen, restored, threads, false);
            const auto at = [&](Range range, int from) {
                return Range{(range.lo - from) * scale, (range.hi - from) * scale};
            };
            copy(part(restored, at(rows, y.lo), at(columns, x.lo)),
                 part(out, at(rows, 0), at(columns, 0)), channels);
        }
}

void run(bbn_model& model, const bbn_image* in, const bbn_image* out, int threads, int tile, bool profile) {
    const int scale = model.program.scale, channels = model.program.channels;
    need(in && out && in->data && out->data, "an image has no pixels: give its data");
    need(in->height > 0 && in->width > 0, "an image has no pixels: give its height and width");
    if (in->height > MAX_SIDE || in->width > MAX_SIDE || int64_t{in->height} * in->width > MAX_PIXELS)
        throw Fault("an image of " + size_of(*in) + " pixels: restore parts of at most " +
                    std::to_string(MAX_SIDE) + " a side");
    for (const bbn_image* image : {in, out})
        need(image->bytes == 1 || image->bytes == 4, "bytes of an image: give 1 for uint8, 4 for float");
    if (out->height != in->height * scale || out->width != in->width * scale)
        throw Fault("an output of " + size_of(*out) + " pixels: give " + std::to_string(scale) +
                    " times the input's " + size_of(*in));
    need(threads >= 0, "threads below 0: give a number of threads, or 0 for all cores");
    need(tile >= 0, "tile below 0: give a side in pixels, or 0 for the whole image");
    if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
    std::lock_guard<std::mutex> lock(model.model.mutex());
    const bbn_image from = strided(*in, channels), to = strided(*out, channels);
    if (tile > 0 && std::max(in->height, in->width) > tile)
        run_tiled(model, from, to, threads, tile);
    else
        run_whole(model, from, to, threads, profile);
}

// What `work` returns, or `failed` after an exception, which bbn_error() then tells.
template <class Result, class Work>
Result guarded(Result failed, Work work) {
    try {
        return work();
    } catch (const std::bad_alloc&) {
        last_error = "no memory for the model: close other programs";
    } catch (const std::exception& error) {
        last_error = error.what();
    }
    return failed;
}

bbn_model* load(const uint8_t* content, size_t size, const char* isa, const std::string& where) {
    const char* const* best = std::find_if(std::begin(ISAS), std::end(ISAS), find_kernels);
    const std::string name = isa ? isa : *best;
    const Kernels* const kernels = find_kernels(name);
    if (!kernels)
        throw Fault("instruction set '" + name + "': this machine cannot run it; the best one is " + *best);
    try {
        return new bbn_model(read_program(content, size), name, *kernels);
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::exception& error) {
        throw Fault(where + ": not a readable .bbn model (" + error.what() + "); use another copy");
    }
}

std::vector<uint8_t> content_of(const char* path) {
    struct Closing {
        void operator()(FILE* file) const { std::fclose(file); }
    };
    const auto failed = [&] {
        return Fault(std::string(path) + ": cannot be read (" + std::strerror(errno) + "); check the path");
    };
    const std::unique_ptr<FILE, Closing> file(std::fopen(path, "rb"));
    if (!file) throw failed();
    std::vector<uint8_t> content;
    while (!std::feof(file.get())) {
        const size_t before = content.size(), chunk = std::max(before, size_t{1} << 16);
        if (before > size_t{1} << 31) throw Fault(std::string(path) + ": larger than 2 GiB; check the path");
        content.resize(before + chunk);
        content.resize(before + std::fread(content.data() + before, 1, chunk, file.get()));
        if (std::ferror(file.get())) throw failed();
    }
    return content;
}

}  // namespace
}  // namespace bbnas

// ---- the C interface, see bbnas.h --------------------------------------------------------------

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT int bbn_version() { return BBN_VERSION; }

EXPORT int bbn_can(const char* isa) { return bbnas::find_kernels(isa) != nullptr; }

EXPORT bbn_model* bbn_load(const char* path, const char* isa) {
    return bbnas::guarded<bbn_model*>(nullptr, [&] {
        const auto content = bbnas::content_of(path);
        return bbnas::load(content.data(), content.size(), isa, path);
    });
}

EXPORT bbn_model* bbn_load_bytes(const void* content, size_t size, const char* isa) {
    return bbnas::guarded<bbn_model*>(nullptr, [&] {
        return bbnas::load(static_cast<const uint8_t*>(content), size, isa, "the content");
    });
}

EXPORT void bbn_free(bbn_model* model) { delete model; }

EXPORT const char* bbn_error() { return bbnas::last_error.c_str(); }

EXPORT int bbn_scale(const bbn_model* model) { return model->program.scale; }
EXPORT int bbn_channels(const bbn_model* model) { return model->program.channels; }
EXPORT int bbn_reach(const bbn_model* model) { return model->program.reach; }
EXPORT const char* bbn_isa(const bbn_model* model) { return model->isa.c_str(); }

EXPORT int bbn_run(bbn_model* model, const bbn_image* in, const bbn_image* out, int threads, int tile) {
    return bbnas::guarded(1, [&] { return bbnas::run(*model, in, out, threads, tile, false), 0; });
}

EXPORT int bbn_profile(bbn_model* model, const bbn_image* in, const bbn_image* out, int threads,
                       double* seconds) {
    return bbnas::guarded(1, [&] {
        bbnas::run(*model, in, out, threads, 0, true);
        const auto& times = model->model.times();
        std::copy(times.begin(), times.end(), seconds);
        return 0;
    });
}

EXPORT int bbn_operations(const bbn_model* model) {
    return static_cast<int>(model->program.ops.size());
}

EXPORT bbn_operation bbn_operation_at(const bbn_model* model, int index) {
    const bbnas::Program& program = model->program;
    const bbnas::Op& op = program.ops[static_cast<size_t>(index)];
    const int made = op.output >= 0 ? op.output : op.bits;
    int inputs = 0;
    for (const int t : op.inputs) inputs += program.tensors[t].channels;
    const int channels = made >= 0 ? program.tensors[made].channels : program.channels;
    const int scale = op.inputs.empty() ? 1 : program.tensors[op.inputs[0]].scale;
    return {bbnas::OP_KINDS[op.kind], op.part.c_str(), inputs ? inputs : program.channels,
            channels * op.shuffle * op.shuffle, scale};
}

EXPORT int64_t bbn_peak_bytes(const bbn_model* model) {
    return static_cast<int64_t>(model->model.peak_bytes());
}

// `times` counts of three words and 16 outputs, in registers alone, for the benchmark of bbnas;
// bbn_can(isa) must be 1.
EXPORT float bbn_counting(const char* isa, int64_t times) {
    return bbnas::find_kernels(isa)->counting(times);
}
