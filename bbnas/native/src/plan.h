// The plan of a program for one image size: its segments, their tasks and rings, and where whole images
// lie. Only engine.cpp includes this file.
#pragma once
#include "bbnas.h"
#include "engine.h"
#include "layout.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <utility>
#include <vector>

namespace bbnas {
namespace {

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
    std::vector<Region> tasks;          // regions of the grid
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

class Plan {
  public:
    Plan(const std::vector<BbnTensor>& tensors, const std::vector<BbnOp>& ops, int scale, int step)
        : tensors_(tensors),
          ops_(ops),
          scale_(scale * step),
          step_(step),
          producer_(tensors.size(), -1) {
        for (size_t i = 0; i < ops.size(); i++)
            for (int t : {ops_[i].output, ops_[i].bits})
                if (t >= 0) producer_[t] = static_cast<int>(i);
    }

    // Plans for an LQ image of this size. Until the next call the fields below are of that plan.
    void make(int height, int width, int threads) {
        image_height_ = height, image_width_ = width;
        height_ = (height + step_ - 1) / step_, width_ = (width + step_ - 1) / step_;
        const int count = static_cast<int>(ops_.size());
        last_use_.assign(tensors_.size(), -1), readers_.assign(tensors_.size(), 0);
        for (int i = 0; i < count; i++)
            reads(ops_[i], {0, 1}, [&](int t, Range) { last_use_[t] = i, readers_[t]++; });
        cut_into_segments(threads);
        ring_bytes_ = zero_bytes_ = 0;
        for (const Segment& segment : segments_)
            ring_bytes_ = std::max(ring_bytes_, segment.ring_bytes);
        for (size_t t = 0; t < tensors_.size(); t++)
            zero_bytes_ = std::max(
                zero_bytes_, shape(static_cast<int>(t)).row_bytes(width * tensors_[t].scale));
        place_frames();
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
            case CONV: case BINARY: case NARROW:
                visit(op.input, op.kernel == 1 ? over : around);
                break;
            case UNSHUFFLE: visit(op.input, times(over, ratio(op))); break;
            case BILINEAR:
                visit(op.input, Range{over.lo / scale_ - 1, (over.hi - 1) / scale_ + 2});
                break;
            default: visit(op.input, over);
        }
        if (op.residual >= 0)
            visit(op.residual, op.kind == SHUFFLE ? times(over, op.shuffle) : over);
    }

    static Range times(Range range, int factor) { return {range.lo * factor, range.hi * factor}; }

    // How much smaller the output of an UNSHUFFLE is than its input.
    int ratio(const BbnOp& op) const {
        return tensors_[op.input].scale / tensors_[op.output].scale;
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
        const Plan& plan;
        int begin, end;
        const std::vector<Region>& made;
        Act& act;
        std::vector<int> next, stop;  // rows of each operation's own grid

        Order(const Plan& p, int b, int e, const std::vector<Region>& regions, Act& a)
            : plan(p), begin(b), end(e), made(regions), act(a), next(e - b), stop(e - b) {}

        Range over(int i, const Region& task) const {
            const BbnOp& op = plan.ops_[i];
            if (op.kind == OUTPUT)
                return {task.rows.lo * plan.scale_, task.rows.hi * plan.scale_};
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
                for (int t : {plan.ops_[i].output, plan.ops_[i].bits})
                    if (t >= 0)
                        for (int j = i + 1; j < end && !asked; j++)
                            plan.reads(plan.ops_[j], {0, 1}, [&](int r, Range) { asked |= r == t; });
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
            const int source = plan.producer_[t];
            return next[source - begin] * plan.ops_[source].shuffle;
        }

        template <class Visit>
        void each_read(const BbnOp& op, int row, Visit visit) {
            plan.reads(op, {row, row + 1}, [&](int t, Range r) {
                const int source = plan.producer_[t];
                if (source < begin) return;
                visit(t, source, plan.ops_[source].shuffle,
                      r.clipped(plan.height_ * plan.tensors_[t].scale));
            });
        }

        void step(int i) {
            const BbnOp& op = plan.ops_[i];
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

    std::vector<BbnTensor> tensors_;
    std::vector<BbnOp> ops_;
    int scale_, step_;  // of the output and of the LQ image, relative to the grid

    int image_height_ = 0, image_width_ = 0;  // of the LQ image
    int height_ = 0, width_ = 0;              // of the grid
    std::vector<Segment> segments_;
    std::vector<View> frame_of_;        // by tensor; a whole image has row_bytes and no base yet
    std::vector<size_t> frame_offset_;  // by tensor, in the memory of all whole images
    // Bytes of memory: of all whole images, of a thread's rings, of a row of zeros.
    size_t frame_bytes_ = 0, ring_bytes_ = 0, zero_bytes_ = 0;

  private:
    struct Measure {  // the number of rows that each ring must hold
        const Plan& plan;
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
                op.shuffle == 1 &&
                tensors_[op.residual].channels == tensors_[op.output].channels && readers_[op.residual] == 1 && within(segment, op.residual) &&
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
        const double macs = 1.0 * taps(op) * op.in_channels * op.channels * op.shuffle * op.shuffle;
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

    int segment_of(int op) const {
        for (size_t s = 0; s < segments_.size(); s++)
            if (op < segments_[s].end) return static_cast<int>(s);
        return 0;
    }

    // First fit: whole images whose lives do not overlap share memory.
    void place_frames() {
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
        frame_bytes_ = total;
    }

    std::vector<int> producer_, last_use_, readers_;  // by tensor
};

}  // namespace
}  // namespace bbnas
