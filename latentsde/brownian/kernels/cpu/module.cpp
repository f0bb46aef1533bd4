// The Python module: path objects that hold what a kernel needs, and answer into memory that Python has allocated.
// It sees addresses of tensors, never torch itself, so that one build serves every version of torch.
//
// Stable ABI of Python 3.10: one build serves every later Python as well.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "kernels.h"

using namespace latentsde;

namespace {

// ---- Instruction sets -----------------------------------------------------------------------------------------------

std::vector<const Kernels*> supported_kernels() {
    std::vector<const Kernels*> found{&baseline_kernels};
#if defined(LATENTSDE_X86)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(&avx2_kernels);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma"))
        found.push_back(&avx512_kernels);
#endif
    return found;
}

std::atomic<const Kernels*> kernels{nullptr};

// ---- Threads --------------------------------------------------------------------------------------------------------

// Calls work(begin, end) on parts of 0..tasks. Threads are begun for the call and joined: about 20 microseconds each,
// little beside the work they are begun for, and there is no pool that a fork could break.
template <class Work>
void in_parallel(size_t tasks, size_t threads, Work work) {
    threads = std::min(threads, tasks);
    if (threads <= 1) return work((size_t)0, tasks);
    std::vector<std::thread> others;
    std::exception_ptr failure;
    std::mutex failing;
    const auto part = [&](size_t begin, size_t end) {
        try {
            work(begin, end);
        } catch (...) {  // no memory: an exception must not leave its thread
            const std::lock_guard<std::mutex> lock(failing);
            failure = std::current_exception();
        }
    };
    size_t begun = 0;
    try {
        for (; begun + 1 < threads; begun++)
            others.emplace_back(part, tasks * begun / threads, tasks * (begun + 1) / threads);
    } catch (const std::exception&) {
        // No more threads to be had: this one does the rest.
    }
    part(tasks * begun / threads, tasks);
    for (std::thread& other : others) other.join();
    if (failure) std::rethrow_exception(failure);
}

constexpr double NORMALS_FOR_A_THREAD = 1e5;  // about 100 microseconds: below, moving to another cache costs more

size_t threads_for(double normals, long allowed) {
    return (size_t)std::max(1.0, std::min((double)allowed, normals / NORMALS_FOR_A_THREAD));
}

// ---- Samples and channels as blocks of counters ---------------------------------------------------------------------

struct Elements {
    size_t samples, channels;
    Key key;
    std::vector<int64_t> ids;
    std::vector<Block> blocks;

    size_t count() const { return samples * channels; }
    size_t groups() const { return (channels + PLANES - 1) / PLANES; }

    void add_lane(Block& block, size_t sample, size_t group) const {
        const int lane = block.lanes++;
        const int width = (int)std::min<size_t>(PLANES, channels - group * PLANES);
        block.group[lane] = (uint32_t)group;
        block.id_low[lane] = (uint32_t)ids[sample];
        block.id_high[lane] = (uint32_t)((uint64_t)ids[sample] >> 32);
        block.place[lane] = (int64_t)(sample * channels + group * PLANES);
        block.sample[lane] = (int32_t)sample;
        block.width[lane] = width;
        block.planes = std::max(block.planes, width);
        block.packed = block.lanes == LANES && channels % PLANES == 0;
    }

    // All lanes one after the other: samples share blocks.
    std::vector<Block> all_blocks() const {
        std::vector<Block> made((samples * groups() + LANES - 1) / LANES, Block());
        for (size_t lane = 0; lane < samples * groups(); lane++)
            add_lane(made[lane / LANES], lane / groups(), lane % groups());
        return made;
    }

    // Blocks that have one sample each, and one of them.
    size_t blocks_of_a_sample() const { return (groups() + LANES - 1) / LANES; }
    Block block_of_a_sample(size_t number) const {
        Block made = Block();
        const size_t first = number % blocks_of_a_sample() * LANES;
        for (size_t group = first; group < std::min(groups(), first + LANES); group++)
            add_lane(made, number / blocks_of_a_sample(), group);
        return made;
    }
};

// Reads (seed, ids address, samples, channels) from the first four arguments.
bool read_elements(PyObject* const* args, Elements& elements) {
    const unsigned long long seed = PyLong_AsUnsignedLongLongMask(args[0]);
    const void* ids = PyLong_AsVoidPtr(args[1]);
    elements.samples = PyLong_AsSize_t(args[2]);
    elements.channels = PyLong_AsSize_t(args[3]);
    if (PyErr_Occurred()) return false;
    elements.key = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    elements.ids.assign((const int64_t*)ids, (const int64_t*)ids + elements.samples);
    elements.blocks = elements.all_blocks();
    return true;
}

bool wrong_count(Py_ssize_t given, Py_ssize_t wanted, const char* name) {
    if (given == wanted) return false;
    PyErr_Format(PyExc_TypeError, "%s takes %zd arguments, got %zd", name, wanted, given);
    return true;
}

// Lets other Python threads run while it exists. Nothing of Python may be touched meanwhile.
class WithoutGil {
    PyThreadState* state = PyEval_SaveThread();

   public:
    WithoutGil() = default;
    WithoutGil(const WithoutGil&) = delete;
    ~WithoutGil() { PyEval_RestoreThread(state); }
};

// Steps whose intervals are prepared at once: bounds the memory beside the answer.
size_t steps_at_once(size_t columns) { return std::max<size_t>(64, ((size_t)1 << 16) / std::max<size_t>(1, columns)); }

// C++ exceptions end here: Python must not see any other than its own.
template <class Body>
PyObject* guarded(Body body) {
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
        return nullptr;
    }
}

// The same for work whose result is None. It returns whether it succeeded; if not, it has set an error.
template <class Work>
PyObject* done(Work work) {
    return guarded([&]() -> PyObject* {
        if (!work()) return nullptr;
        Py_RETURN_NONE;
    });
}

// ---- Tree -----------------------------------------------------------------------------------------------------------

struct Memory {  // aligned, untouched until used
    void* data = nullptr;
    void* take(size_t bytes) {
        void* taken = nullptr;
        if (!data && bytes) {
            if (posix_memalign(&taken, 64, bytes)) throw std::bad_alloc();
            data = taken;
        }
        return data;
    }
    ~Memory() { std::free(data); }
    Memory() = default;
    Memory(Memory&& other) : data(other.data) { other.data = nullptr; }
};

struct TreePath {
    Elements elements;
    double t0, t1, slack;
    bool wide;
    std::mutex busy;
    // For queries of a few intervals, from the second one on: a path that is asked once keeps nothing.
    bool asked = false;
    std::vector<Chain> chains;  // one for each block
    Memory halves;              // level after level, so that a query goes through it in one direction
    uint64_t last = 0;          // where the last of these queries ended

    double fraction(double time) const { return std::min(std::max((time - t0) / (t1 - t0), 0.0), 1.0); }
    uint64_t ticks(double time) const {
        return (uint64_t)std::nearbyint(fraction(time) * (double)((uint64_t)1 << TIME_BITS));
    }
    bool inside(double time) const { return time >= t0 - slack && time <= t1 + slack; }
    Interval interval(double from, double to) const {
        const uint64_t a = ticks(from), b = ticks(to);
        return a <= b ? Interval{a, b, false} : Interval{b, a, true};
    }
};

// Sets a ValueError whose format shows numbers as Python does (%R); always returns null.
PyObject* value_error(const char* format, std::initializer_list<double> numbers) {
    PyObject* shown[3] = {nullptr, nullptr, nullptr};
    size_t count = 0;
    for (double number : numbers) shown[count++] = PyFloat_FromDouble(number);
    PyErr_Format(PyExc_ValueError, format, shown[0], shown[1], shown[2]);
    for (PyObject* number : shown) Py_XDECREF(number);
    return nullptr;
}

bool complain_outside(const TreePath& path, double time) {
    if (path.inside(time)) return false;
    value_error("time %R is outside the path's interval [%R, %R]", {time, path.t0, path.t1});
    return true;
}

struct Answer {
    char *w, *h;
    size_t stride, width;  // numbers of one interval, bytes of a number
    void* at_w(size_t k) const { return w + k * stride * width; }
    void* at_h(size_t k) const { return h ? h + k * stride * width : nullptr; }
    Answer from(size_t k) const { return {(char*)at_w(k), (char*)at_h(k), stride, width}; }
};

// Of what a path keeps between queries. Beyond it the lower levels are made anew for each query.
constexpr size_t MOST_KEPT = (size_t)256 << 20;

// Nodes that lie above the tick `time` and not above the tick `known`.
int new_nodes(uint64_t time, uint64_t known) {
    if (time == known || time == 0) return 0;
    const int level = std::min(DEPTH + 1, TIME_BITS - __builtin_ctzll(time));
    return std::max(0, level - (TIME_BITS - (64 - __builtin_clzll(time ^ known))));
}

// Normals that the block of intervals costs each element, about: a few for nodes that are there, two for each new one.
double normals_for(const Interval* intervals, size_t count, uint64_t last) {
    double normals = 0.0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t from = intervals[i].backwards ? intervals[i].high : intervals[i].low;
        const uint64_t to = intervals[i].backwards ? intervals[i].low : intervals[i].high;
        normals += 1.0 + 2.0 * (new_nodes(from, last) + new_nodes(to, from));
        last = to;
    }
    return normals;
}

// A few intervals, by the chains that the last query left.
void query_kept(TreePath& path, const Interval* intervals, size_t count, const Answer& answer, long allowed) {
    const Elements& elements = path.elements;
    const size_t blocks = elements.blocks.size(), bytes = halves_bytes(path.wide), level_bytes = blocks * bytes;
    const int kept = (int)std::min<size_t>(CHAIN_LEVELS, MOST_KEPT / std::max<size_t>(1, level_bytes));
    char* memory = (char*)path.halves.take(level_bytes * kept);
    path.chains.resize(blocks);
    const double normals = normals_for(intervals, count, path.last) * elements.count();
    path.last = intervals[count - 1].backwards ? intervals[count - 1].low : intervals[count - 1].high;
    in_parallel(blocks, threads_for(normals, allowed), [&](size_t begin, size_t end) {
        Memory rest;
        rest.take(bytes * (CHAIN_LEVELS - kept));
        for (size_t b = begin; b < end; b++) {
            path.chains[b].forget_from(kept);
            kernels.load()->tree[path.wide]({&elements.blocks[b], elements.key, intervals, count, path.t1 - path.t0,
                                             answer.w, answer.h, answer.stride, &path.chains[b], memory + b * bytes,
                                             level_bytes, kept, rest.data});
        }
    });
}

// How the answers of many steps are written: a tile of blocks takes a few steps, block after block, and then the next
// few. So a page of memory is filled while it is at hand, and a block's chain is not read anew for each step.
constexpr size_t TILE_BLOCKS = 16, TILE_STEPS = 32;

// Calls run(block, from, to) for every block and all steps 0..count, tile by tile; begin(first, last) before a tile of
// blocks. Few samples are spread over the threads by their steps.
template <class Begin, class Run>
void in_tiles(size_t blocks, size_t count, size_t threads, Begin begin_tile, Run run) {
    const size_t tile = std::max<size_t>(1, std::min(TILE_BLOCKS, blocks / std::max<size_t>(1, threads)));
    const size_t tiles = (blocks + tile - 1) / tile;
    const size_t parts = std::max<size_t>(1, std::min(count, tiles ? threads / tiles : 1));
    in_parallel(tiles * parts, threads, [&](size_t begin, size_t end) {
        for (size_t task = begin; task < end; task++) {
            const size_t first = task / parts * tile, last = std::min(first + tile, blocks);
            const size_t part = task % parts, stop = count * (part + 1) / parts;
            auto state = begin_tile(first, last);
            for (size_t from = count * part / parts; from < stop; from += TILE_STEPS)
                for (size_t b = first; b < last; b++) run(state, b, b - first, from, std::min(from + TILE_STEPS, stop));
        }
    });
}

// Many intervals, by chains that are thrown away again; `intervals` has those of all samples or, one sample after the
// other, those of each.
void query_many(const TreePath& path, const Interval* intervals, size_t count, bool per_sample, const Answer& answer,
                long allowed) {
    struct Scratch {
        std::vector<Chain> chains;
        std::vector<Block> blocks;  // of single samples
        Memory halves;
    };
    const Elements& elements = path.elements;
    const size_t bytes = halves_bytes(path.wide), chain_bytes = bytes * CHAIN_LEVELS;
    // By the first intervals: the others are like them.
    const double each = normals_for(intervals, std::min<size_t>(count, 64), 0) / std::min<size_t>(count, 64);
    in_tiles(
        per_sample ? elements.samples * elements.blocks_of_a_sample() : elements.blocks.size(), count,
        threads_for(each * count * elements.count(), allowed),
        [&](size_t first, size_t last) {
            Scratch scratch;
            scratch.chains.resize(last - first);
            scratch.halves.take(chain_bytes * (last - first));
            for (size_t b = first; per_sample && b < last; b++) scratch.blocks.push_back(elements.block_of_a_sample(b));
            return scratch;
        },
        [&](Scratch& scratch, size_t b, size_t in_tile, size_t from, size_t to) {
            const Block& block = per_sample ? scratch.blocks[in_tile] : elements.blocks[b];
            const Interval* own = intervals + (per_sample ? (size_t)block.sample[0] * count : 0);
            kernels.load()->tree[path.wide]({&block, elements.key, own + from, to - from, path.t1 - path.t0,
                                             answer.at_w(from), answer.at_h(from), answer.stride,
                                             &scratch.chains[in_tile], nullptr, 0, 0,
                                             (char*)scratch.halves.data + in_tile * chain_bytes});
        });
}

template <class Held>
struct Object {
    PyObject_HEAD
    Held* held;
};

template <class Held>
Held& held(PyObject* self) {
    return *((Object<Held>*)self)->held;
}

template <class Held>
void forget(PyObject* self) {
    delete ((Object<Held>*)self)->held;
    PyTypeObject* type = Py_TYPE(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

template <class Held>
PyObject* wrap(PyObject* type, Held* object) {
    auto make = (allocfunc)PyType_GetSlot((PyTypeObject*)type, Py_tp_alloc);
    PyObject* self = make((PyTypeObject*)type, 0);
    if (!self) {
        delete object;
        return nullptr;
    }
    ((Object<Held>*)self)->held = object;
    return self;
}

PyObject *tree_type = nullptr, *cells_type = nullptr;

// tree(seed, ids, samples, channels, t0, t1, slack, wide)
PyObject* new_tree(PyObject*, PyObject* const* args, Py_ssize_t given) {
    if (wrong_count(given, 8, "tree")) return nullptr;
    return guarded([&]() -> PyObject* {
        std::unique_ptr<TreePath> path(new TreePath());
        const bool read = read_elements(args, path->elements);
        path->t0 = PyFloat_AsDouble(args[4]);
        path->t1 = PyFloat_AsDouble(args[5]);
        path->slack = PyFloat_AsDouble(args[6]);
        path->wide = PyObject_IsTrue(args[7]) == 1;
        return read && !PyErr_Occurred() ? wrap(tree_type, path.release()) : nullptr;
    });
}

// increment(from, to, w, h or 0, threads)
PyObject* tree_increment(PyObject* self, PyObject* const* args, Py_ssize_t given) {
    if (wrong_count(given, 5, "increment")) return nullptr;
    TreePath& path = held<TreePath>(self);
    const double from = PyFloat_AsDouble(args[0]), to = PyFloat_AsDouble(args[1]);
    const Answer answer{(char*)PyLong_AsVoidPtr(args[2]), (char*)PyLong_AsVoidPtr(args[3]), path.elements.count(),
                        path.wide ? sizeof(double) : sizeof(float)};
    const long threads = PyLong_AsLong(args[4]);
    if (PyErr_Occurred()) return nullptr;
    if (complain_outside(path, from) || complain_outside(path, to)) return nullptr;
    return done([&] {
        const Interval interval = path.interval(from, to);
        const WithoutGil released;
        const std::unique_lock<std::mutex> lock(path.busy, std::try_to_lock);
        // Where another thread asks the same path: do without what it remembers.
        if (lock && path.asked) query_kept(path, &interval, 1, answer, threads);
        else query_many(path, &interval, 1, false, answer, threads);
        if (lock) path.asked = true;
        return true;
    });
}

// increments(times, how many, per sample, w, h or 0, threads): over the consecutive intervals of times
// (many,) or (many, samples), float64.
PyObject* tree_increments(PyObject* self, PyObject* const* args, Py_ssize_t given) {
    if (wrong_count(given, 6, "increments")) return nullptr;
    TreePath& path = held<TreePath>(self);
    const double* times = (const double*)PyLong_AsVoidPtr(args[0]);
    const size_t many = PyLong_AsSize_t(args[1]);
    const bool per_sample = PyObject_IsTrue(args[2]) == 1;
    const Answer answer{(char*)PyLong_AsVoidPtr(args[3]), (char*)PyLong_AsVoidPtr(args[4]), path.elements.count(),
                        path.wide ? sizeof(double) : sizeof(float)};
    const long threads = PyLong_AsLong(args[5]);
    if (PyErr_Occurred()) return nullptr;
    const size_t columns = per_sample ? path.elements.samples : 1;
    for (size_t i = 0; i < many * columns; i++)
        if (complain_outside(path, times[i])) return nullptr;
    if (many < 2 || path.elements.count() == 0) Py_RETURN_NONE;
    return done([&] {
        const size_t count = many - 1, most = steps_at_once(columns);
        const bool keep = !per_sample && count <= 4;
        std::vector<Interval> intervals(std::min(count, most) * columns);
        const WithoutGil released;
        std::unique_lock<std::mutex> lock(path.busy, std::defer_lock);
        const bool locked = keep && lock.try_lock(), kept = locked && path.asked;
        for (size_t begin = 0; begin < count; begin += most) {
            const size_t steps = std::min(most, count - begin);
            for (size_t column = 0; column < columns; column++)
                for (size_t k = 0; k < steps; k++) {
                    const double* time = times + (begin + k) * columns + column;
                    intervals[column * steps + k] = path.interval(time[0], time[columns]);
                }
            const Answer part = answer.from(begin);
            if (kept) query_kept(path, intervals.data(), steps, part, threads);
            else query_many(path, intervals.data(), steps, per_sample, part, threads);
        }
        if (locked) path.asked = true;
        return true;
    });
}

// ---- Cells ----------------------------------------------------------------------------------------------------------

struct CellsPath {
    Elements elements;
    std::vector<double> grid;  // (points, samples or 1)
    size_t points;
    bool per_sample, descending, wide;
    size_t columns() const { return per_sample ? elements.samples : 1; }

    double at(size_t point, size_t column) const { return grid[point * columns() + column]; }

    // The first point of a column that is not before `time`.
    size_t first_from(double time, size_t column) const {
        size_t low = 0, high = points;
        while (low < high) {
            const size_t middle = (low + high) / 2;
            const double value = at(middle, column);
            if (descending ? value > time : value < time) low = middle + 1;
            else high = middle;
        }
        return std::min(low, points - 1);
    }

    // The index of the first point of a column that is `time` up to rounding, or -1: a few float32 roundings of the
    // ends, but never a part of a cell that counts.
    int64_t index(double time, size_t column) const {
        const size_t above = first_from(time, column);
        const double high = at(above, column);
        if (high == time) return (int64_t)above;
        const size_t below = first_from(at(above > 0 ? above - 1 : 0, column), column);
        const double low = at(below, column), cell = std::fabs(high - low);
        const bool nearer_below = std::fabs(time - low) < std::fabs(high - time);
        const double off = nearer_below ? std::fabs(time - low) : std::fabs(high - time);
        const double end = std::max(std::fabs(at(0, column)), std::fabs(at(points - 1, column)));
        const double allowed = std::min(0x1p-21 * end, cell > 0.0 ? 1e-3 * cell : HUGE_VAL);
        return off <= allowed ? (int64_t)(nearer_below ? below : above) : -1;
    }
};

// cells(seed, ids, samples, channels, grid, points, per sample, descending, wide)
PyObject* new_cells(PyObject*, PyObject* const* args, Py_ssize_t given) {
    if (wrong_count(given, 9, "cells")) return nullptr;
    return guarded([&]() -> PyObject* {
        std::unique_ptr<CellsPath> path(new CellsPath());
        const bool read = read_elements(args, path->elements);
        const double* grid = (const double*)PyLong_AsVoidPtr(args[4]);
        path->points = PyLong_AsSize_t(args[5]);
        path->per_sample = PyObject_IsTrue(args[6]) == 1;
        path->descending = PyObject_IsTrue(args[7]) == 1;
        path->wide = PyObject_IsTrue(args[8]) == 1;
        if (!PyErr_Occurred()) path->grid.assign(grid, grid + path->points * path->columns());
        return read && !PyErr_Occurred() ? wrap(cells_type, path.release()) : nullptr;
    });
}

// Steps begin to end of `times`; false with an error set for a time that is not on the grid.
bool answer_cells(const CellsPath& path, const double* times, size_t begin, size_t end, bool times_per_sample,
                  const Answer& answer, long threads) {
    const bool per_sample = times_per_sample || path.per_sample;
    const size_t columns = per_sample ? path.elements.samples : 1, count = end - begin;
    std::vector<int32_t> index((count + 1) * columns), first(count * columns), cells(count * columns);
    std::vector<signed char> sign(count * columns);
    for (size_t k = 0; k <= count; k++)
        for (size_t column = 0; column < columns; column++) {
            const double time = times[times_per_sample ? (begin + k) * columns + column : begin + k];
            const int64_t found = path.index(time, path.per_sample ? column : 0);
            if (found < 0) {
                value_error("time %R is not a point of this path's grid; ask a VirtualBrownianTree for times between",
                            {time});
                return false;
            }
            index[k * columns + column] = (int32_t)found;
        }
    double total = 0.0;
    for (size_t i = 0; i < count * columns; i++) {
        const int32_t a = index[i], b = index[i + columns];
        first[i] = std::min(a, b);
        cells[i] = std::abs(b - a);
        sign[i] = a <= b ? 1 : -1;
        total += cells[i];
    }
    const double normals = total / columns * answer.stride * (answer.h ? 2 : 1);
    const WithoutGil released;
    in_tiles(
        path.elements.blocks.size(), count, threads_for(normals, threads), [](size_t, size_t) { return 0; },
        [&](int, size_t b, size_t, size_t from, size_t to) {
            kernels.load()->cells[path.wide](
                {&path.elements.blocks[b], path.elements.key, first.data() + from * columns,
                 cells.data() + from * columns, path.grid.data(), per_sample, path.per_sample, path.elements.samples,
                 to - from, sign.data() + from * columns, answer.at_w(begin + from), answer.at_h(begin + from),
                 answer.stride});
        });
    return true;
}

Answer answer_of(const CellsPath& path, PyObject* w, PyObject* h) {
    return {(char*)PyLong_AsVoidPtr(w), (char*)PyLong_AsVoidPtr(h), path.elements.count(),
            path.wide ? sizeof(double) : sizeof(float)};
}

// increment(from, to, w, h or 0, threads)
PyObject* cells_increment(PyObject* self, PyObject* const* args, Py_ssize_t given) {
    if (wrong_count(given, 5, "increment")) return nullptr;
    const CellsPath& path = held<CellsPath>(self);
    const double times[2] = {PyFloat_AsDouble(args[0]), PyFloat_AsDouble(args[1])};
    const Answer answer = answer_of(path, args[2], args[3]);
    const long threads = PyLong_AsLong(args[4]);
    if (PyErr_Occurred()) return nullptr;
    return done([&] { return answer_cells(path, times, 0, 1, false, answer, threads); });
}

// increments(times, how many, per sample, w, h or 0, threads)
PyObject* cells_increments(PyObject* self, PyObject* const* args, Py_ssize_t given) {
    if (wrong_count(given, 6, "increments")) return nullptr;
    const CellsPath& path = held<CellsPath>(self);
    const double* times = (const double*)PyLong_AsVoidPtr(args[0]);
    const size_t many = PyLong_AsSize_t(args[1]);
    const bool per_sample = PyObject_IsTrue(args[2]) == 1;
    const Answer answer = answer_of(path, args[3], args[4]);
    const long threads = PyLong_AsLong(args[5]);
    if (PyErr_Occurred()) return nullptr;
    return done([&] {
        const size_t most = steps_at_once(per_sample || path.per_sample ? path.elements.samples : 1);
        for (size_t begin = 0; begin + 1 < many; begin += most)
            if (!answer_cells(path, times, begin, std::min(begin + most, many - 1), per_sample, answer, threads))
                return false;
        return true;
    });
}

// ---- Plain functions ------------------------------------------------------------------------------------------------

// normals(seed, ids, samples, channels, nodes, count, per sample, domain and kind, out, wide, threads)
PyObject* plain_normals(PyObject*, PyObject* const* args, Py_ssize_t given) {
    if (wrong_count(given, 11, "normals")) return nullptr;
    return done([&] {
        Elements elements;
        if (!read_elements(args, elements)) return false;
        const int64_t* nodes = (const int64_t*)PyLong_AsVoidPtr(args[4]);
        const size_t count = PyLong_AsSize_t(args[5]);
        const bool per_sample = PyObject_IsTrue(args[6]) == 1;
        const uint32_t domain = (uint32_t)PyLong_AsUnsignedLong(args[7]);
        char* out = (char*)PyLong_AsVoidPtr(args[8]);
        const bool wide = PyObject_IsTrue(args[9]) == 1;
        const long allowed = PyLong_AsLong(args[10]);
        if (PyErr_Occurred()) return false;
        const size_t stride = elements.count(), width = wide ? sizeof(double) : sizeof(float);
        const WithoutGil released;
        in_tiles(
            elements.blocks.size(), count, threads_for((double)count * stride, allowed),
            [](size_t, size_t) { return 0; },
            [&](int, size_t b, size_t, size_t from, size_t to) {
                kernels.load()->normals[wide]({&elements.blocks[b], elements.key,
                                               nodes + from * (per_sample ? elements.samples : 1), per_sample,
                                               elements.samples, to - from, domain, out + from * stride * width,
                                               stride});
            });
        return true;
    });
}

// words(counters, count, seed, out): Philox of uint32 counters (4, count) into (4, count).
PyObject* philox_words(PyObject*, PyObject* const* args, Py_ssize_t given) {
    if (wrong_count(given, 4, "words")) return nullptr;
    const uint32_t* counters = (const uint32_t*)PyLong_AsVoidPtr(args[0]);
    const size_t count = PyLong_AsSize_t(args[1]);
    const unsigned long long seed = PyLong_AsUnsignedLongLongMask(args[2]);
    uint32_t* out = (uint32_t*)PyLong_AsVoidPtr(args[3]);
    if (PyErr_Occurred()) return nullptr;
    kernels.load()->words(counters, count, {(uint32_t)seed, (uint32_t)(seed >> 32)}, out);
    Py_RETURN_NONE;
}

PyObject* instruction_sets(PyObject*, PyObject*) {
    const auto found = supported_kernels();
    PyObject* names = PyTuple_New((Py_ssize_t)found.size());
    for (size_t i = 0; names && i < found.size(); i++)
        if (PyTuple_SetItem(names, (Py_ssize_t)i, PyUnicode_FromString(found[i]->name))) {
            Py_DECREF(names);
            return nullptr;
        }
    return names;
}

PyObject* instruction_set(PyObject*, PyObject*) { return PyUnicode_FromString(kernels.load()->name); }

// Chooses one of instruction_sets(), for tests and benchmarks; not while another thread draws.
PyObject* use_instruction_set(PyObject*, PyObject* name) {
    for (const Kernels* candidate : supported_kernels()) {
        PyObject* text = PyUnicode_FromString(candidate->name);
        const int same = text ? PyObject_RichCompareBool(text, name, Py_EQ) : -1;
        Py_XDECREF(text);
        if (same < 0) return nullptr;
        if (same) {
            kernels = candidate;
            Py_RETURN_NONE;
        }
    }
    return PyErr_Format(PyExc_ValueError, "this processor has no kernels named %R", name);
}

#define FAST(function) (PyCFunction)(void (*)(void)) function

PyMethodDef tree_methods[] = {{"increment", FAST(tree_increment), METH_FASTCALL, nullptr},
                              {"increments", FAST(tree_increments), METH_FASTCALL, nullptr},
                              {nullptr, nullptr, 0, nullptr}};
PyMethodDef cells_methods[] = {{"increment", FAST(cells_increment), METH_FASTCALL, nullptr},
                               {"increments", FAST(cells_increments), METH_FASTCALL, nullptr},
                               {nullptr, nullptr, 0, nullptr}};
PyType_Slot tree_slots[] = {{Py_tp_dealloc, (void*)forget<TreePath>}, {Py_tp_methods, tree_methods}, {0, nullptr}};
PyType_Slot cells_slots[] = {{Py_tp_dealloc, (void*)forget<CellsPath>}, {Py_tp_methods, cells_methods}, {0, nullptr}};
constexpr unsigned long MADE_HERE = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION;
PyType_Spec tree_spec = {"latentsde.brownian.kernels._cpu.Tree", sizeof(Object<TreePath>), 0, MADE_HERE,
                         tree_slots};
PyType_Spec cells_spec = {"latentsde.brownian.kernels._cpu.Cells", sizeof(Object<CellsPath>), 0, MADE_HERE,
                          cells_slots};

PyMethodDef functions[] = {{"tree", FAST(new_tree), METH_FASTCALL, nullptr},
                           {"cells", FAST(new_cells), METH_FASTCALL, nullptr},
                           {"normals", FAST(plain_normals), METH_FASTCALL, nullptr},
                           {"words", FAST(philox_words), METH_FASTCALL, nullptr},
                           {"instruction_sets", instruction_sets, METH_NOARGS, nullptr},
                           {"instruction_set", instruction_set, METH_NOARGS, nullptr},
                           {"use_instruction_set", use_instruction_set, METH_O, nullptr},
                           {nullptr, nullptr, 0, nullptr}};
PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_cpu", nullptr, -1, functions, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__cpu(void) {
    kernels = supported_kernels().back();
    tree_type = PyType_FromSpec(&tree_spec);
    cells_type = PyType_FromSpec(&cells_spec);
    return tree_type && cells_type ? PyModule_Create(&definition) : nullptr;
}
