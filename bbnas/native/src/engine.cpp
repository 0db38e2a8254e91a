// Runs a program: plans its buffers for one image size, then streams rows through its operations.
//
// The plan cuts the operations into segments whose working rows stay in the L2 cache. Within a segment
// a tensor is a ring of a few rows: an operation runs for one row when a later operation asks for it.
// Tensors that cross segments are whole images. Each thread computes bands of rows and strips of
// columns of a segment's result. Where these overlap, two threads compute the same values; no thread
// waits for another.
#include "engine.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include "pool.h"

namespace bbnas {
namespace {

enum TensorKind { PLANES, FLOATS, BITS };
enum OpKind { INPUT, PACK, REPEAT, CONV, BINARY, NARROW, ACCUMULATE, BILINEAR, OUTPUT };

int padded(int channels) { return (channels + LANES - 1) / LANES * LANES; }

struct Range {
    int lo = 0, hi = 0;
    bool empty() const { return lo >= hi; }
    void join(Range other) {
        if (other.empty()) return;
        if (empty())
            *this = other;
        else
            lo = std::min(lo, other.lo), hi = std::max(hi, other.hi);
    }
    Range clipped(int size) const { return {std::max(lo, 0), std::min(hi, size)}; }
};

struct Region {
    Range rows, columns;
};

}  // namespace

// ---- the C interface's view of a program; bbnas/engine/native.py mirrors it -------------------

extern "C" {
struct BbnTensor {
    int32_t kind, channels, scale;
};
struct BbnOp {
    int32_t kind, input, output, bits, residual;
    int32_t in_channels, channels, shuffle;  // channels: number of channels of an output pixel
    int32_t activation, place, zeta_first, packing, standardise, inputs;
    float factor;
    const void* weight;
    const float* border;
    const int32_t* more;  // the input tensors of ACCUMULATE
    const float *bias, *scale, *norm_a, *norm_b, *gamma, *beta, *zeta, *pack_a, *pack_b;
    const float *mean, *std, *factors;
};
struct BbnImage {  // strides are in elements
    void* data;
    int32_t bytes;  // of an element: 1 for uint8, 4 for float
    int64_t row, pixel, channel;
};
}

namespace {

struct View {
    char* base = nullptr;
    size_t row_bytes = 0;
    int capacity = 1, first = 0, pixel_bytes = 4;  // first: the column at index 1
    ptrdiff_t plane = 0;                           // distance of two planes, in floats

    char* at(int y, int x) const {
        return base + static_cast<size_t>(y % capacity) * row_bytes +
               static_cast<ptrdiff_t>(x - first + 1) * pixel_bytes;
    }
};

struct Shape {  // the layout of a tensor in memory
    int pixel_bytes, planes;
    size_t row_bytes(int width) const {
        const size_t bytes = static_cast<size_t>(width + 2) * pixel_bytes * planes;
        return (bytes + 63) / 64 * 64;
    }
};

struct Segment {
    int begin = 0, end = 0;
    std::vector<Region> tasks;          // regions of the LQ image
    std::vector<int> inner;             // tensors that live in rings
    std::vector<int> home;              // by tensor, the tensor whose ring it shares
    std::vector<size_t> offset, row_bytes;  // by tensor
    std::vector<int> capacity;
    size_t ring_bytes = 0;
};

struct Frame {
    int tensor, first, last;  // the first and the last segment that use the tensor
    size_t offset, bytes;
};

// CPU seconds of this thread, which exclude the time of other threads on the machine.
double cpu_seconds() {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

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

// $BBNAS_L2 sets another size of the cache, in bytes, for tests; it changes times, not results.
size_t cache_bytes() {
    if (const char* text = std::getenv("BBNAS_L2")) {
        const long long value = std::atoll(text);
        if (value > 0) return static_cast<size_t>(value);
    }
    long l2 = 0;
#ifdef _SC_LEVEL2_CACHE_SIZE
    l2 = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    return (l2 > 0 ? static_cast<size_t>(l2) : size_t{512} << 10) / 8 * 7;
}

size_t physical_bytes() {
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? static_cast<size_t>(pages) * static_cast<size_t>(size) : SIZE_MAX;
}

class Model {
  public:
    Model(const BbnTensor* tensors, int tensor_count, const BbnOp* ops, int op_count, int scale,
          const Kernels& kernels)
        : tensors_(tensors, tensors + tensor_count),
          ops_(ops, ops + op_count),
          scale_(scale),
          kernels_(kernels),
          producer_(tensor_count, -1),
          times_(op_count, 0.0) {
        for (int i = 0; i < op_count; i++) {
            for (int t : {ops_[i].output, ops_[i].bits})
                if (t >= 0) producer_[t] = i;
            layers_.push_back(layers_of(ops_[i]));
        }
    }

    std::mutex& mutex() { return mutex_; }
    size_t peak_bytes() const { return peak_; }
    const std::vector<double>& times() const { return times_; }

    void run(const BbnImage& in, const BbnImage& out, int height, int width, int threads,
             bool profile) {
        plan(height, width, threads);
        in_ = in, out_ = out;
        profile_ = profile;
        std::vector<std::vector<double>> spent(threads, std::vector<double>(ops_.size(), 0.0));
        for (size_t s = 0; s < segments_.size(); s++) {
            const Segment& segment = segments_[s];
            pool_->run(threads, static_cast<int>(segment.tasks.size()), [&](int task, int thread) {
                Streaming(*this, segment, rings_[thread]->data, spent[thread])
                    .run(segment.tasks[task]);
            });
        }
        std::fill(times_.begin(), times_.end(), 0.0);
        for (const auto& one : spent)
            for (size_t i = 0; i < one.size(); i++) times_[i] += one[i];
    }

    void use(Pool* pool) { pool_ = pool; }

  private:
    // ---- layers -------------------------------------------------------------------------------

    // One layer for each position of PixelShuffle within its square.
    std::vector<Layer> layers_of(const BbnOp& op) const {
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
                           static_cast<size_t>(g) * 9 * in * (op.kind == NARROW ? 0 : wide);
            l.bias = part(op.bias);
            l.border = op.border ? op.border + static_cast<size_t>(g) * 16 * wide : nullptr;
            l.epilogue = {part(op.scale), part(op.norm_a), part(op.norm_b), part(op.gamma),
                          part(op.beta),  part(op.zeta),   op.pack_a,       op.pack_b,
                          op.activation,  op.place,        op.zeta_first,   op.packing,
                          vectors % 2 ? (vectors - 1) * LANES : -1};
            layers.push_back(l);
        }
        return layers;
    }

    Shape shape(int t) const {
        const BbnTensor& tensor = tensors_[t];
        if (tensor.kind == PLANES) return {4, tensor.channels};
        if (tensor.kind == FLOATS) return {padded(tensor.channels) * 4, 1};
        return {(tensor.channels + 31) / 32 * 4, 1};
    }

    // ---- the region that an operation reads ---------------------------------------------------

    // The rows (or columns) of its input's grid over which an operation runs to compute `made`.
    static Range run_over(const BbnOp& op, Range made) {
        const int s = op.shuffle;
        return {made.lo / s, (made.hi + s - 1) / s};
    }

    // Calls visit(tensor, rows or columns) for each tensor that the operation reads.
    template <class Visit>
    void reads(const BbnOp& op, Range over, Visit visit) const {
        const Range around{over.lo - 1, over.hi + 1};
        switch (op.kind) {
            case INPUT: break;
            case ACCUMULATE:
                for (int i = 0; i < op.inputs; i++) visit(op.more[i], over);
                break;
            case CONV: case BINARY: case NARROW: visit(op.input, around); break;
            case BILINEAR:
                visit(op.input, Range{over.lo / scale_ - 1, (over.hi - 1) / scale_ + 2});
                break;
            default: visit(op.input, over);
        }
        if (op.residual >= 0) visit(op.residual, over);
    }

    // By tensor, the region that a task of segment [begin, end) computes. Two tasks may compute the
    // same pixels of a whole image, where operations of this segment read beyond their task's part.
    // Each task reads only values that it wrote itself, and both write the same values. Therefore an
    // operation must store each value of its output once, and nothing else before it.
    std::vector<Region> regions(int begin, int end, const Region& task) const {
        std::vector<Region> made(tensors_.size());
        std::vector<bool> wanted(tensors_.size(), false);
        auto grow = [&](int t, Range Region::*axis, Range range, int size) {
            (made[t].*axis).join(range.clipped(size * tensors_[t].scale));
        };
        for (int i = end - 1; i >= begin; i--) {
            const BbnOp& op = ops_[i];
            Region over;
            bool whole = op.kind == OUTPUT;
            const int grid = op.kind == OUTPUT ? scale_ : tensors_[op.output >= 0 ? op.output : op.bits].scale;
            for (int t : {op.output, op.bits})
                if (t >= 0) {
                    over.rows.join(made[t].rows), over.columns.join(made[t].columns);
                    if (last_use_[t] >= end) whole = true;
                }
            if (whole) {  // the task's own part of a whole image or of the result
                over.rows.join({task.rows.lo * grid, task.rows.hi * grid});
                over.columns.join({task.columns.lo * grid, task.columns.hi * grid});
            }
            if (op.kind == BILINEAR && !over.columns.empty())  // it computes whole LQ pixels
                over.columns = {over.columns.lo / scale_ * scale_,
                                (over.columns.hi + scale_ - 1) / scale_ * scale_};
            const Range rows = run_over(op, over.rows), columns = run_over(op, over.columns);
            const int s = op.shuffle;
            for (int t : {op.output, op.bits})
                if (t >= 0)
                    made[t] = {{rows.lo * s, rows.hi * s}, {columns.lo * s, columns.hi * s}};
            if (rows.empty()) continue;
            reads(op, rows, [&](int t, Range r) { grow(t, &Region::rows, r, height_); });
            reads(op, columns, [&](int t, Range r) { grow(t, &Region::columns, r, width_); });
        }
        return made;
    }

    // ---- the order of rows --------------------------------------------------------------------

    // Runs the rows of a task in the order of demand. Calls `Act` for each row over which an operation
    // runs, and for each row that it reads.
    template <class Act>
    struct Order {
        const Model& model;
        int begin, end;
        const std::vector<Region>& made;
        Act& act;
        std::vector<int> next, stop;  // rows of each operation's own grid

        Order(const Model& m, int b, int e, const std::vector<Region>& regions, Act& a)
            : model(m), begin(b), end(e), made(regions), act(a), next(e - b), stop(e - b) {}

        Range over(int i, const Region& task) const {
            const BbnOp& op = model.ops_[i];
            if (op.kind == OUTPUT)
                return {task.rows.lo * model.scale_, task.rows.hi * model.scale_};
            return run_over(op, made[op.output >= 0 ? op.output : op.bits].rows);
        }

        void run(const Region& task) {
            for (int i = begin; i < end; i++) {
                const Range range = over(i, task);
                next[i - begin] = range.lo, stop[i - begin] = range.hi;
            }
            // Round robin over the operations whose output no operation of the segment reads; mostly
            // only the last one.
            std::vector<int> roots;
            for (int i = begin; i < end; i++) {
                bool asked = false;
                for (int t : {model.ops_[i].output, model.ops_[i].bits})
                    if (t >= 0)
                        for (int j = i + 1; j < end && !asked; j++)
                            model.reads(model.ops_[j], {0, 1}, [&](int r, Range) { asked |= r == t; });
                if (!asked) roots.push_back(i);
            }
            for (bool more = true; more;) {
                more = false;
                for (int i : roots)
                    if (next[i - begin] < stop[i - begin]) {
                        step(i);
                        more = true;
                    }
            }
            // A tensor that this and later segments read may have rows left to compute.
            for (int i = begin; i < end; i++)
                while (next[i - begin] < stop[i - begin]) step(i);
        }

        int made_of(int t) const {
            const int source = model.producer_[t];
            return next[source - begin] * model.ops_[source].shuffle;
        }

        template <class Visit>
        void each_read(const BbnOp& op, int row, Visit visit) {
            model.reads(op, {row, row + 1}, [&](int t, Range r) {
                const int source = model.producer_[t];
                if (source < begin) return;
                visit(t, source, model.ops_[source].shuffle,
                      r.clipped(model.height_ * model.tensors_[t].scale));
            });
        }

        void step(int i) {
            const BbnOp& op = model.ops_[i];
            const int row = next[i - begin];
            // All rows are computed first: computing those of one tensor may compute more of another.
            each_read(op, row, [&](int, int source, int s, Range r) {
                while (next[source - begin] * s < r.hi) step(source);
            });
            each_read(op, row, [&](int t, int, int, Range r) { act.read(t, r.lo); });
            act.run(i, row);
            next[i - begin]++;
        }
    };

    struct Measure {  // the number of rows that each ring must hold
        const Model& model;
        Segment& segment;
        const Order<Measure>* order = nullptr;
        void read(int t, int lowest) {
            const int home = segment.home[t];
            int& capacity = segment.capacity[home];
            capacity = std::max(capacity, order->made_of(home) - lowest);
        }
        void run(int, int) {}
    };

    // ---- planning -----------------------------------------------------------------------------

    bool within(const Segment& segment, int t) const {
        return producer_[t] >= segment.begin && last_use_[t] < segment.end;
    }

    // A residual stream stays in place: an output overwrites the residual that was added to it, if
    // nothing else reads that residual.
    void find_homes(Segment& segment) const {
        segment.home.resize(tensors_.size());
        for (size_t t = 0; t < tensors_.size(); t++) segment.home[t] = static_cast<int>(t);
        for (int i = segment.begin; i < segment.end; i++) {
            const BbnOp& op = ops_[i];
            if ((op.kind == CONV || op.kind == BINARY) && op.residual >= 0 && op.output >= 0 &&
                op.shuffle == 1 && readers_[op.residual] == 1 && within(segment, op.residual) &&
                within(segment, op.output))
                segment.home[op.output] = segment.home[op.residual];
        }
    }

    void fit(Segment& segment, const std::vector<Region>& tasks) const {
        const size_t count = tensors_.size();
        segment.capacity.assign(count, 1), segment.row_bytes.assign(count, 0);
        segment.offset.assign(count, 0), segment.inner.clear();
        find_homes(segment);
        for (const Region& task : tasks) {
            const auto made = regions(segment.begin, segment.end, task);
            Measure measure{*this, segment};
            Order<Measure> order(*this, segment.begin, segment.end, made, measure);
            measure.order = &order;
            order.run(task);
            for (size_t t = 0; t < count; t++)
                segment.row_bytes[t] = std::max(
                    segment.row_bytes[t],
                    shape(static_cast<int>(t)).row_bytes(made[t].columns.hi - made[t].columns.lo));
        }
        segment.ring_bytes = 0;
        for (int t = 0; t < static_cast<int>(count); t++) {
            if (producer_[t] >= segment.end || !within(segment, t)) continue;
            segment.inner.push_back(t);
            if (segment.home[t] != t) continue;
            segment.capacity[t] = std::max(segment.capacity[t], ops_[producer_[t]].shuffle);
            segment.offset[t] = segment.ring_bytes;
            segment.ring_bytes += segment.capacity[t] * segment.row_bytes[t];
        }
    }

    std::vector<Region> cut(int bands, int strips) const {
        std::vector<Region> tasks;
        bands = std::min(bands, height_), strips = std::min(strips, width_);
        for (int b = 0; b < bands; b++)
            for (int s = 0; s < strips; s++)
                tasks.push_back({{part(height_, b, bands), part(height_, b + 1, bands)},
                                 {part(width_, s, strips), part(width_, s + 1, strips)}});
        return tasks;
    }
    static int part(int size, int i, int parts) {
        return static_cast<int>(static_cast<int64_t>(size) * i / parts);
    }

    // Divides an image among threads. Two tasks both compute pixels along the cut between them, so the
    // division into strips and bands with the shortest cuts is the best.
    int strips_for(int threads) const {
        int best = 1;
        double least = -1;
        for (int strips = 1; strips <= threads; strips++) {
            if (threads % strips || (strips > 1 && width_ / strips < NARROWEST)) continue;
            const int bands = threads / strips;
            const double cuts = double(strips - 1) * height_ + double(bands - 1) * width_;
            if (least < 0 || cuts < least) least = cuts, best = strips;
        }
        return best;
    }

    // The cost of a division into segments, in nanoseconds: whole images pass through memory, and
    // strips of columns compute their borders twice. A rough model of the machine is enough, because
    // it only chooses among ways to the same result.
    static constexpr double BYTE = 0.1, BINARY_MAC = 1.0 / 1500, MAC = 1.0 / 50;
    static constexpr int LONGEST = 32, NARROWEST = 32;

    double pixel_cost(const BbnOp& op) const {
        const double macs = 9.0 * op.in_channels * op.channels * op.shuffle * op.shuffle;
        if (op.kind == BINARY) return macs * BINARY_MAC;
        return op.kind == CONV || op.kind == NARROW ? macs * MAC : op.channels * 0.05;
    }

    double frame_cost(const Segment& segment) const {
        double bytes = 0;
        for (int t = 0; t < static_cast<int>(tensors_.size()); t++) {
            const bool made = producer_[t] >= segment.begin && producer_[t] < segment.end;
            bool read = false;
            if (!made && producer_[t] < segment.begin && last_use_[t] >= segment.begin)
                for (int i = segment.begin; i < segment.end && !read; i++)
                    reads(ops_[i], {0, 1}, [&](int r, Range) { read |= r == t; });
            const bool written = made && last_use_[t] >= segment.end;
            if (!read && !written) continue;
            const int s = tensors_[t].scale;
            const double size = static_cast<double>(shape(t).row_bytes(width_ * s)) * height_ * s;
            bytes += written ? 2 * size : size;
        }
        return bytes * BYTE;
    }

    // Dynamic programming from the end: best[i] is the lowest cost of the operations from i on.
    void cut_into_segments(int threads) {
        struct Best {
            double cost = 0;
            int end = 0, strips = 1;
        };
        const int count = static_cast<int>(ops_.size());
        const size_t budget = cache_bytes();
        std::vector<Best> best(count + 1);
        for (int begin = count - 1; begin >= 0; begin--) {
            for (int end = begin + 1; end <= std::min(count, begin + LONGEST); end++) {
                Segment segment;
                segment.begin = begin, segment.end = end;
                Region task{{0, std::min(height_, 2 * (end - begin) + 4)}, {0, width_}};
                fit(segment, {task});
                const double frames = frame_cost(segment);
                bool fits = false;
                for (int strips = 1; strips == 1 || width_ / strips >= NARROWEST; strips *= 2) {
                    const auto tasks = cut(1, strips);
                    const auto made = regions(begin, end, tasks[tasks.size() / 2]);
                    size_t bytes = 0;
                    double twice = 0;
                    for (size_t t = 0; t < tensors_.size(); t++) {
                        const int columns = made[t].columns.hi - made[t].columns.lo;
                        if (columns == 0) continue;
                        const size_t row = shape(static_cast<int>(t)).row_bytes(columns);
                        const int own = segment.home[t] == static_cast<int>(t);
                        // Rows of whole images pass through the cache too.
                        bytes += row * (within(segment, static_cast<int>(t))
                                            ? own * segment.capacity[t]
                                            : 2);
                    }
                    for (int i = begin; i < end && strips > 1; i++) {
                        const int t = ops_[i].output >= 0 ? ops_[i].output : ops_[i].bits;
                        if (t < 0) continue;
                        const int s = tensors_[t].scale;
                        const double more = made[t].columns.hi - made[t].columns.lo -
                                            static_cast<double>(width_) * s / strips;
                        twice += pixel_cost(ops_[i]) * more * strips * height_ * s /
                                 (ops_[i].shuffle * ops_[i].shuffle);
                    }
                    fits = bytes <= budget;
                    if (!fits && end > begin + 1) continue;
                    const double cost = frames + twice + best[end].cost;
                    if (best[begin].end == 0 || cost < best[begin].cost)
                        best[begin] = {cost, end, strips};
                }
                if (!fits) break;
            }
        }
        segments_.clear();
        for (int begin = 0; begin < count; begin = best[begin].end) {
            Segment segment;
            segment.begin = begin, segment.end = best[begin].end;
            int strips = best[begin].strips;
            if (strips == 1) strips = strips_for(threads);
            // The number of tasks is a multiple of the number of threads; all are of one size.
            segment.tasks = cut(threads / std::gcd(threads, strips), strips);
            fit(segment, segment.tasks);
            segments_.push_back(std::move(segment));
        }
    }

    void plan(int height, int width, int threads) {
        while (static_cast<int>(rings_.size()) < threads)
            rings_.push_back(std::make_unique<Aligned>());
        if (height == height_ && width == width_ && threads == threads_) return;
        height_ = height, width_ = width, threads_ = 0;
        const int count = static_cast<int>(ops_.size());
        last_use_.assign(tensors_.size(), -1), readers_.assign(tensors_.size(), 0);
        for (int i = 0; i < count; i++)
            reads(ops_[i], {0, 1}, [&](int t, Range) { last_use_[t] = i, readers_[t]++; });
        cut_into_segments(threads);
        size_t ring = 0, zero = 0;
        for (const Segment& segment : segments_) ring = std::max(ring, segment.ring_bytes);
        for (size_t t = 0; t < tensors_.size(); t++)
            zero = std::max(zero, shape(static_cast<int>(t)).row_bytes(width * tensors_[t].scale));
        peak_ = place_frames() + zero + ring * threads;
        // The system may grant more memory than it has, and end the process later.
        if (peak_ / 4 * 5 > physical_bytes()) throw std::bad_alloc();
        frames_.reserve(frame_bytes_), zero_.reserve(zero);
        for (int i = 0; i < threads; i++) rings_[i]->reserve(ring);
        for (size_t t = 0; t < tensors_.size(); t++)
            if (frame_of_[t].row_bytes) frame_of_[t].base = frames_.data + frame_offset_[t];
        threads_ = threads;
    }

    int segment_of(int op) const {
        for (size_t s = 0; s < segments_.size(); s++)
            if (op < segments_[s].end) return static_cast<int>(s);
        return 0;
    }

    // First fit: whole images whose lives do not overlap share memory. Returns the number of bytes.
    size_t place_frames() {
        std::vector<Frame> placed;
        size_t total = 0;
        frame_of_.assign(tensors_.size(), View());
        for (size_t t = 0; t < tensors_.size(); t++) {
            if (producer_[t] < 0 || last_use_[t] < 0) continue;
            const int first = segment_of(producer_[t]), last = segment_of(last_use_[t]);
            if (first == last) continue;
            const int s = tensors_[t].scale;
            const size_t bytes = shape(static_cast<int>(t)).row_bytes(width_ * s) * height_ * s;
            size_t offset = 0;
            for (bool moved = true; moved;) {
                moved = false;
                for (const Frame& f : placed)
                    if (f.first <= last && first <= f.last && offset < f.offset + f.bytes &&
                        f.offset < offset + bytes)
                        offset = f.offset + f.bytes, moved = true;
            }
            placed.push_back({static_cast<int>(t), first, last, offset, bytes});
            total = std::max(total, offset + bytes);
        }
        frame_offset_.assign(tensors_.size(), 0);
        for (const Frame& f : placed) {
            const Shape form = shape(f.tensor);
            const int s = tensors_[f.tensor].scale;
            frame_offset_[f.tensor] = f.offset;
            frame_of_[f.tensor] = {nullptr, form.row_bytes(width_ * s), height_ * s,
                                   0,       form.pixel_bytes,           width_ * s + 2};
        }
        return frame_bytes_ = total;
    }

    // ---- running ------------------------------------------------------------------------------

    struct Streaming {
        Model& model;
        const Segment& segment;
        char* ring;
        std::vector<double>& spent;
        std::vector<View> views;
        std::vector<Region> made;

        Streaming(Model& m, const Segment& s, char* memory, std::vector<double>& times)
            : model(m), segment(s), ring(memory), spent(times), views(m.frame_of_) {}

        void run(const Region& task) {
            made = model.regions(segment.begin, segment.end, task);
            for (int t : segment.inner) {
                const int home = segment.home[t];
                const Range columns = made[home].columns;
                views[t] = {ring + segment.offset[home], segment.row_bytes[home],
                            segment.capacity[home], columns.lo, model.shape(t).pixel_bytes,
                            columns.hi - columns.lo + 2};
            }
            columns_ = task.columns;
            Order<Streaming>(model, segment.begin, segment.end, made, *this).run(task);
        }

        void read(int, int) {}

        void run(int i, int row) {
            if (!model.profile_) return step(i, row);
            const double start = cpu_seconds();
            step(i, row);
            spent[i] += cpu_seconds() - start;
        }

      private:
        Range columns_;

        const char* source(int t, int y, int x) const {
            if (y < 0 || y >= model.height_ * model.tensors_[t].scale)
                return model.zero_.data + static_cast<ptrdiff_t>(views[t].pixel_bytes);
            return views[t].at(y, x);
        }

        // The pixels outside the image must be 0, also where another tensor's rows were before.
        void clear_borders(int t, int y) const {
            const View& v = views[t];
            const int width = model.width_ * model.tensors_[t].scale;
            const Range c = made[t].columns;
            const int planes = model.tensors_[t].kind == PLANES ? model.tensors_[t].channels : 1;
            for (int k = 0; k < planes; k++) {
                const ptrdiff_t plane = k * v.plane * 4;
                if (c.lo == 0) std::memset(v.at(y, -1) + plane, 0, v.pixel_bytes);
                if (c.hi == width) std::memset(v.at(y, width) + plane, 0, v.pixel_bytes);
            }
        }

        void step(int i, int row) {
            const BbnOp& op = model.ops_[i];
            if (op.kind == OUTPUT) return put(op, row);
            const int s = op.shuffle;
            const int grid = op.output >= 0 ? op.output : op.bits;
            const Range columns = run_over(op, made[grid].columns);
            switch (op.kind) {
                case INPUT: get(op, row, columns); break;
                case REPEAT: repeat(op, row, columns); break;
                case ACCUMULATE: accumulate(op, row, columns); break;
                case BILINEAR: bilinear(op, row, columns); break;
                default: layer(op, model.layers_[i], row, columns);
            }
            for (int t : {op.output, op.bits})
                if (t >= 0)
                    for (int k = 0; k < s; k++) clear_borders(t, row * s + k);
        }

        void layer(const BbnOp& op, const std::vector<Layer>& layers, int row, Range columns) {
            const BbnTensor& input = model.tensors_[op.input];
            const View& in = views[op.input];
            const int s = op.shuffle, height = model.height_ * input.scale;
            Row r{};
            r.n = columns.hi - columns.lo;
            r.edge = (row == 0 ? 1 : 0) | (row == height - 1 ? 2 : 0) |
                     (columns.lo == 0 ? 4 : 0) |
                     (columns.hi == model.width_ * input.scale ? 8 : 0);
            for (int k = 0; k < 3; k++) r.in[k] = source(op.input, row + k - 1, columns.lo);
            r.in_pixel = in.pixel_bytes / 4;
            r.in_channel = input.kind == PLANES ? in.plane : 1;
            if (op.residual >= 0) {
                const View& residual = views[op.residual];
                r.residual = reinterpret_cast<const float*>(residual.at(row, columns.lo));
                r.residual_pixel = residual.pixel_bytes / 4;
                r.residual_channel = residual.plane;
            }
            for (int g = 0; g < s * s; g++) {
                const int y = row * s + g / s, x = columns.lo * s + g % s;
                if (op.output >= 0) {
                    const View& out = views[op.output];
                    r.out = reinterpret_cast<float*>(out.at(y, x));
                    r.out_pixel = static_cast<ptrdiff_t>(out.pixel_bytes) / 4 * s;
                    r.out_channel = out.plane;
                }
                if (op.bits >= 0) {
                    const View& bits = views[op.bits];
                    r.bits = reinterpret_cast<uint16_t*>(bits.at(y, x));
                    r.bits_pixel = static_cast<ptrdiff_t>(bits.pixel_bytes) / 2 * s;
                }
                const Kernels& k = model.kernels_;
                (op.kind == BINARY   ? k.binary
                 : op.kind == CONV   ? k.conv
                 : op.kind == NARROW ? k.narrow
                                     : k.pack)(layers[g], r);
            }
        }

        void get(const BbnOp& op, int row, Range columns) {
            const BbnImage& image = model.in_;
            const View& out = views[op.output];
            for (int c = 0; c < model.tensors_[op.output].channels; c++) {
                float* to = reinterpret_cast<float*>(out.at(row, columns.lo)) + c * out.plane;
                const int64_t from = row * image.row + columns.lo * image.pixel + c * image.channel;
                // Stored once, because a neighbouring task may be reading this value (regions()).
                const auto store = [&](auto value) {
                    for (int x = 0; x < columns.hi - columns.lo; x++)
                        to[x] = op.standardise ? (value(x) - op.mean[c]) / op.std[c]
                                               : value(x) * op.factor;
                };
                if (image.bytes == 1) {
                    const uint8_t* p = static_cast<const uint8_t*>(image.data) + from;
                    store([&](int x) { return static_cast<float>(p[x * image.pixel]) / 255; });
                } else {
                    const float* p = static_cast<const float*>(image.data) + from;
                    store([&](int x) { return p[x * image.pixel]; });
                }
            }
        }

        void put(const BbnOp& op, int row) {
            const BbnImage& image = model.out_;
            const BbnTensor& tensor = model.tensors_[op.input];
            const View& in = views[op.input];
            const int lo = columns_.lo * model.scale_, n = columns_.hi * model.scale_ - lo;
            const ptrdiff_t pixel = in.pixel_bytes / 4;
            const ptrdiff_t channel = tensor.kind == PLANES ? in.plane : 1;
            constexpr int CHUNK = 256;
            float values[CHUNK];
            uint8_t levels[CHUNK];
            for (int start = 0; start < n; start += CHUNK)
                for (int c = 0; c < tensor.channels; c++) {
                    const int count = std::min(CHUNK, n - start);
                    const float* p = reinterpret_cast<const float*>(in.at(row, lo)) + c * channel +
                                     start * pixel;
                    if (op.standardise)
                        for (int x = 0; x < count; x++)
                            values[x] = p[x * pixel] * op.std[c] + op.mean[c];
                    else if (pixel == 1)
                        for (int x = 0; x < count; x++) values[x] = p[x] / op.factor;
                    else
                        for (int x = 0; x < count; x++) values[x] = p[x * pixel] / op.factor;
                    const int64_t to =
                        row * image.row + (lo + start) * image.pixel + c * image.channel;
                    if (image.bytes == 1) {
                        model.kernels_.quantize(values, count, levels);
                        uint8_t* q = static_cast<uint8_t*>(image.data) + to;
                        for (int x = 0; x < count; x++) q[x * image.pixel] = levels[x];
                    } else {
                        float* q = static_cast<float*>(image.data) + to;
                        for (int x = 0; x < count; x++) q[x * image.pixel] = values[x];
                    }
                }
        }

        // Channel c of the n outputs is channel ⌊c / ⌊n/k⌋⌋ of the image's k; the first channels
        // follow again to fill n.
        void repeat(const BbnOp& op, int row, Range columns) {
            const View &in = views[op.input], &out = views[op.output];
            const int k = model.tensors_[op.input].channels, n = op.channels, times = n / k;
            const float* from = reinterpret_cast<const float*>(in.at(row, columns.lo));
            float* to = reinterpret_cast<float*>(out.at(row, columns.lo));
            for (int x = 0; x < columns.hi - columns.lo; x++, to += padded(n)) {
                for (int c = 0; c < n; c++)
                    to[c] = from[(c < times * k ? c / times : c - times * k) * in.plane + x];
                for (int c = n; c < padded(n); c++) to[c] = 0;
            }
        }

        void accumulate(const BbnOp& op, int row, Range columns) {
            std::vector<const uint16_t*> maps;
            for (int i = 0; i < op.inputs; i++)
                maps.push_back(
                    reinterpret_cast<const uint16_t*>(views[op.more[i]].at(row, columns.lo)));
            model.kernels_.accumulate(
                maps.data(), views[op.more[0]].pixel_bytes / 2, op.factors, op.inputs,
                columns.hi - columns.lo, padded(op.channels) / LANES,
                reinterpret_cast<float*>(views[op.output].at(row, columns.lo)));
        }

        void bilinear(const BbnOp& op, int row, Range columns) {
            const View &in = views[op.input], &out = views[op.output];
            const int s = model.scale_, height = model.height_;
            const float step = 1.0f / static_cast<float>(s);
            const float at = (static_cast<float>(row % s) + 0.5f) * step - 0.5f;
            const int above = row / s - (at < 0 ? 1 : 0);
            const float t = at < 0 ? at + 1 : at;
            const int upper = std::max(above, 0), lower = std::min(above + 1, height - 1);
            const Range pixels{columns.lo / s, columns.hi / s};
            for (int c = 0; c < model.tensors_[op.input].channels; c++)
                model.kernels_.bilinear(
                    reinterpret_cast<const float*>(in.at(upper, 0)) + c * in.plane,
                    reinterpret_cast<const float*>(in.at(lower, 0)) + c * in.plane, t, s, pixels.lo,
                    pixels.hi - pixels.lo, model.width_,
                    reinterpret_cast<float*>(out.at(row, pixels.lo * s)) + c * out.plane);
        }
    };

    std::vector<BbnTensor> tensors_;
    std::vector<BbnOp> ops_;
    int scale_;
    const Kernels& kernels_;
    std::vector<int> producer_, last_use_, readers_;
    std::vector<std::vector<Layer>> layers_;
    std::vector<double> times_;

    int height_ = 0, width_ = 0, threads_ = 0;
    std::vector<Segment> segments_;
    std::vector<View> frame_of_;
    std::vector<size_t> frame_offset_;
    size_t frame_bytes_ = 0;
    Aligned frames_, zero_;
    std::vector<std::unique_ptr<Aligned>> rings_;
    size_t peak_ = 0;

    BbnImage in_{}, out_{};
    bool profile_ = false;
    std::mutex mutex_;
    Pool* pool_ = nullptr;
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

EXPORT int bbn_version() { return 3; }

// The sizes of the structures, which must equal the caller's.
EXPORT int64_t bbn_sizes() {
    return static_cast<int64_t>(sizeof(bbnas::BbnOp)) << 32 | sizeof(bbnas::BbnTensor) << 16 |
           sizeof(bbnas::BbnImage);
}

// Returns a model of a checked program (bbnas/engine/program.py), or null if there is not enough
// memory or no such instruction set. The caller keeps the arrays alive.
EXPORT void* bbn_create(const bbnas::BbnTensor* tensors, int tensor_count, const bbnas::BbnOp* ops,
                        int op_count, int scale, const char* isa) {
    try {
        const bbnas::Kernels* kernels = bbnas::find_kernels(isa);
        if (!kernels) return nullptr;
        return new bbnas::Model(tensors, tensor_count, ops, op_count, scale, *kernels);
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
        if (threads > 1 && pool.try_lock()) {
            // A forked process does not have its parent's threads and cannot join them.
            if (!shared_pool || pool_owner != getpid()) shared_pool = new Pool, pool_owner = getpid();
            model.use(shared_pool);
        } else {
            threads = 1;
            model.use(&alone);
        }
        model.run(*in, *out, height, width, threads, profile != 0);
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
