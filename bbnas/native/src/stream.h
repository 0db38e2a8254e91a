// Runs the rows of a plan's tasks through the kernels. Only engine.cpp includes this file.
#pragma once
#include "plan.h"

#include <time.h>

#include <cstring>

namespace bbnas {
namespace {

// CPU seconds of this thread, which exclude the time of other threads on the machine.
double cpu_seconds() {
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// One run of a model, the same for all its tasks.
struct Job {
    const Kernels& kernels;
    const std::vector<std::vector<Layer>>& layers;  // by operation
    bbn_image in, out;
    const char* zero;  // a row of zeros
    bool profile;
};

// Runs one task of a segment in one thread.
struct Streaming {
    const Plan& plan;
    const Job& job;
    const Segment& segment;
    char* ring;
    std::vector<double>& spent;
    std::vector<View> views;
    std::vector<Region> made;

    Streaming(const Plan& p, const Job& j, const Segment& s, char* memory, std::vector<double>& times)
        : plan(p), job(j), segment(s), ring(memory), spent(times), views(p.frame_of_) {}

    void run(const Region& task) {
        made = plan.regions(segment.begin, segment.end, task);
        for (int t : segment.inner) {
            const int home = segment.home[t];
            const Range columns = made[home].columns;
            views[t] = {ring + segment.offset[home], segment.row_bytes[home],
                        segment.capacity[home], columns.lo, plan.shape(t).pixel_bytes,
                        columns.hi - columns.lo + 2};
        }
        columns_ = task.columns;
        Plan::Order<Streaming>(plan, segment.begin, segment.end, made, *this).run(task);
    }

    void read(int, int) {}

    void run(int i, int row) {
        if (!job.profile) return step(i, row);
        const double start = cpu_seconds();
        step(i, row);
        spent[i] += cpu_seconds() - start;
    }

  private:
    Range columns_;

    const char* source(int t, int y, int x) const {
        if (y < 0 || y >= plan.height_ * plan.tensors_[t].scale)
            return job.zero + static_cast<ptrdiff_t>(views[t].pixel_bytes);
        return views[t].at(y, x);
    }

    // The pixels outside the image must be 0, also where another tensor's rows were before.
    void clear_borders(int t, int y) const {
        const View& v = views[t];
        const int width = plan.width_ * plan.tensors_[t].scale;
        const Range c = made[t].columns;
        const int planes = plan.tensors_[t].kind == PLANES ? plan.tensors_[t].channels : 1;
        for (int k = 0; k < planes; k++) {
            const ptrdiff_t plane = k * v.plane * 4;
            if (c.lo == 0) std::memset(v.at(y, -1) + plane, 0, v.pixel_bytes);
            if (c.hi == width) std::memset(v.at(y, width) + plane, 0, v.pixel_bytes);
        }
    }

    void step(int i, int row) {
        const BbnOp& op = plan.ops_[i];
        if (op.kind == OUTPUT) return put(op, row);
        const int s = op.shuffle;
        const int grid = op.output >= 0 ? op.output : op.bits;
        const Range columns = Plan::run_over(op, made[grid].columns);
        switch (op.kind) {
            case INPUT: get(op, row, columns); break;
            case REPEAT: repeat(op, row, columns); break;
            case ACCUMULATE: accumulate(op, row, columns); break;
            case BILINEAR: bilinear(op, row, columns); break;
            case UNSHUFFLE: unshuffle(op, row, columns); break;
            case SHUFFLE: shuffle(op, row, columns); break;
            default: layer(op, job.layers[i], row, columns);
        }
        for (int t : {op.output, op.bits})
            if (t >= 0)
                for (int k = 0; k < s; k++) clear_borders(t, row * s + k);
    }

    void layer(const BbnOp& op, const std::vector<Layer>& layers, int row, Range columns) {
        const BbnTensor& input = plan.tensors_[op.input];
        const View& in = views[op.input];
        const int s = op.shuffle, height = plan.height_ * input.scale;
        Row r{};
        r.n = columns.hi - columns.lo;
        r.edge = (row == 0 ? 1 : 0) | (row == height - 1 ? 2 : 0) |
                 (columns.lo == 0 ? 4 : 0) |
                 (columns.hi == plan.width_ * input.scale ? 8 : 0);
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
            const Kernels& k = job.kernels;
            (op.kind == BINARY   ? k.binary
             : op.kind == CONV   ? k.conv
             : op.kind == NARROW ? k.narrow
                                 : k.pack)(layers[g], r);
        }
    }

    void get(const BbnOp& op, int row, Range columns) {
        const bbn_image& image = job.in;
        const View& out = views[op.output];
        // The grid may end beyond the image, whose last row and column are repeated there.
        const int y = std::min(row, plan.image_height_ - 1), last = plan.image_width_ - 1;
        for (int c = 0; c < plan.tensors_[op.output].channels; c++) {
            float* to = reinterpret_cast<float*>(out.at(row, columns.lo)) + c * out.plane;
            const int64_t from = y * image.row + columns.lo * image.pixel + c * image.channel;
            // Stored once, because a neighbouring task may be reading this value (regions()).
            const auto put_at = [&](int x, float value) {
                to[x] = op.standardise ? (value - op.mean[c]) / op.std[c] : value * op.factor;
            };
            const auto store = [&](auto value) {
                const int end = std::min(columns.hi, last + 1) - columns.lo;
                for (int x = 0; x < end; x++) put_at(x, value(x));
                for (int x = std::max(end, 0); x < columns.hi - columns.lo; x++)
                    put_at(x, value(last - columns.lo));
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
        const bbn_image& image = job.out;
        const BbnTensor& tensor = plan.tensors_[op.input];
        const View& in = views[op.input];
        const int scale = plan.scale_ / plan.step_;
        const int lo = columns_.lo * plan.scale_;
        const int n = std::min(columns_.hi * plan.scale_, plan.image_width_ * scale) - lo;
        if (row >= plan.image_height_ * scale) return;
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
                    job.kernels.quantize(values, count, levels);
                    uint8_t* q = static_cast<uint8_t*>(image.data) + to;
                    for (int x = 0; x < count; x++) q[x * image.pixel] = levels[x];
                } else {
                    float* q = static_cast<float*>(image.data) + to;
                    for (int x = 0; x < count; x++) q[x * image.pixel] = values[x];
                }
            }
    }

    // Channel c of the n outputs is channel ⌊c / ⌊n/k⌋⌋ of the input's k; the first channels
    // follow again to fill n. If k > n they are the first n.
    void repeat(const BbnOp& op, int row, Range columns) {
        const View &in = views[op.input], &out = views[op.output];
        const int k = plan.tensors_[op.input].channels, n = op.channels, times = n / k;
        const ptrdiff_t pixel = in.pixel_bytes / 4;
        const ptrdiff_t channel = plan.tensors_[op.input].kind == PLANES ? in.plane : 1;
        const float* from = reinterpret_cast<const float*>(in.at(row, columns.lo));
        float* to = reinterpret_cast<float*>(out.at(row, columns.lo));
        for (int x = 0; x < columns.hi - columns.lo; x++, to += padded(n), from += pixel) {
            for (int c = 0; c < n; c++)
                to[c] = from[(c < times * k ? c / times : c - times * k) * channel];
            for (int c = n; c < padded(n); c++) to[c] = 0;
        }
    }

    void unshuffle(const BbnOp& op, int row, Range columns) {
        const View &in = views[op.input], &out = views[op.output];
        const int u = plan.ratio(op), n = columns.hi - columns.lo;
        float* to = reinterpret_cast<float*>(out.at(row, columns.lo));
        for (int c = 0; c < plan.tensors_[op.input].channels; c++)
            for (int i = 0; i < u; i++) {
                const float* from = reinterpret_cast<const float*>(
                                        in.at(row * u + i, columns.lo * u)) + c * in.plane;
                for (int j = 0; j < u; j++, to += out.plane)
                    for (int x = 0; x < n; x++) to[x] = from[x * u + j];
            }
    }

    void shuffle(const BbnOp& op, int row, Range columns) {
        switch (op.shuffle) {
            case 1: return shuffled<1>(op, row, columns);
            case 2: return shuffled<2>(op, row, columns);
            case 3: return shuffled<3>(op, row, columns);
            default: return shuffled<4>(op, row, columns);
        }
    }

    // The channels c·s² + i·s … + s − 1 of a pixel are neighbours in row i of plane c.
    template <int S>
    void shuffled(const BbnOp& op, int row, Range columns) {
        const View &in = views[op.input], &out = views[op.output];
        const ptrdiff_t pixel = in.pixel_bytes / 4;
        const int n = columns.hi - columns.lo;
        for (int c = 0; c < op.channels; c++)
            for (int i = 0; i < S; i++) {
                const int y = row * S + i, x = columns.lo * S;
                const float* from = reinterpret_cast<const float*>(in.at(row, columns.lo)) +
                                    (c * S + i) * S;
                float* to = reinterpret_cast<float*>(out.at(y, x)) + c * out.plane;
                if (op.residual < 0) {
                    for (int p = 0; p < n; p++, from += pixel, to += S)
                        for (int j = 0; j < S; j++) to[j] = from[j];
                    continue;
                }
                const View& residual = views[op.residual];
                const float* more = reinterpret_cast<const float*>(residual.at(y, x)) +
                                    c * residual.plane;
                for (int p = 0; p < n; p++, from += pixel, to += S, more += S)
                    for (int j = 0; j < S; j++) to[j] = from[j] + more[j];
            }
    }

    void accumulate(const BbnOp& op, int row, Range columns) {
        std::vector<const uint16_t*> maps;
        for (int i = 0; i < op.inputs; i++)
            maps.push_back(
                reinterpret_cast<const uint16_t*>(views[op.more[i]].at(row, columns.lo)));
        job.kernels.accumulate(
            maps.data(), views[op.more[0]].pixel_bytes / 2, op.factors, op.inputs,
            columns.hi - columns.lo, padded(op.channels) / LANES,
            reinterpret_cast<float*>(views[op.output].at(row, columns.lo)));
    }

    void bilinear(const BbnOp& op, int row, Range columns) {
        const View &in = views[op.input], &out = views[op.output];
        const int s = plan.scale_, height = plan.height_;
        const float step = 1.0f / static_cast<float>(s);
        const float at = (static_cast<float>(row % s) + 0.5f) * step - 0.5f;
        const int above = row / s - (at < 0 ? 1 : 0);
        const float t = at < 0 ? at + 1 : at;
        const int upper = std::max(above, 0), lower = std::min(above + 1, height - 1);
        const Range pixels{columns.lo / s, columns.hi / s};
        for (int c = 0; c < plan.tensors_[op.input].channels; c++)
            job.kernels.bilinear(
                reinterpret_cast<const float*>(in.at(upper, 0)) + c * in.plane,
                reinterpret_cast<const float*>(in.at(lower, 0)) + c * in.plane, t, s, pixels.lo,
                pixels.hi - pixels.lo, plan.width_,
                reinterpret_cast<float*>(out.at(row, pixels.lo * s)) + c * out.plane);
    }
};

}  // namespace
}  // namespace bbnas
