// What the Python module hands to the kernels of one instruction set, and the table of those kernels.
//
// Lanes: a block is LANES Philox counters, each of which makes the normals of PLANES adjacent channels of one sample.
// Arrays of a block are planes of lanes: [channel within its group][counter].
#pragma once

#include <cstddef>
#include <cstdint>

namespace latentsde {

constexpr int LANES = 32;
constexpr int PLANES = 4;
constexpr int BLOCK = LANES * PLANES;

// The tree of docs/brownian.md: times are multiples of 2^-48 of the span, nodes are split down to level 30.
constexpr int TIME_BITS = 48;
constexpr int DEPTH = 30;

// The channel word of a counter: domain, kind of normal, group of channels.
constexpr uint32_t CELL_DOMAIN = 1u << 31;
constexpr uint32_t KIND_H = 1u << 29;

struct Key {
    uint32_t low, high;
};

struct Block {
    alignas(64) uint32_t group[LANES];
    alignas(64) uint32_t id_low[LANES];
    alignas(64) uint32_t id_high[LANES];
    alignas(64) int64_t place[LANES];  // where the lane's first channel is in an array (batch, channels)
    int32_t sample[LANES];
    int32_t width[LANES];  // channels of the lane, 0 for a lane that fills up the block
    int lanes;
    int planes;   // the most channels of any lane
    bool packed;  // whole lanes one after the other, so that places are 4 apart
};

// An interval of the tree in units of 2^-48 of the span, low <= high.
struct Interval {
    uint64_t low, high;
    bool backwards;
};

// A chain knows, for each level, which node was last split there; the halves of those nodes are the ancestors that
// adjacent queries share. What a tree answers does not depend on what its chain holds.
struct Chain {
    enum State : unsigned char { EMPTY, ONLY_W, COMPLETE };
    bool has_root = false;
    State state[DEPTH] = {};
    uint32_t split[DEPTH] = {};

    // Drop what lies below the first `levels` levels, the root's among them.
    void forget_from(int levels) {
        if (levels == 0) has_root = false;
        for (int level = levels > 0 ? levels - 1 : 0; level < DEPTH; level++) state[level] = EMPTY;
    }
};

// Bytes of the two halves of one node for a block, and how many of them a chain may need.
constexpr size_t halves_bytes(bool wide) { return 4 * BLOCK * (wide ? sizeof(double) : sizeof(float)); }
constexpr int CHAIN_LEVELS = DEPTH + 1;

// One block's share of a tree query: `count` intervals one after the other.
struct TreeTask {
    const Block* block;
    Key key;
    const Interval* intervals;
    size_t count;
    double span;   // of the path, in the user's units
    void* w;       // of the first interval: (count, elements) in all
    void* h;       // null if no Lévy area is wanted
    size_t stride; // elements of one interval
    Chain* chain;  // kept between queries or not
    void* memory;  // of the halves of its first levels: each level is level_bytes behind the one above
    size_t level_bytes;
    int kept_levels;  // how many levels lie there; the chain holds nothing of the others when the task begins
    void* rest;       // of their halves, one level after the other
};

// One block's share of a query of cells: `count` runs of adjacent cells for each sample.
struct CellsTask {
    const Block* block;
    Key key;
    const int32_t* first;    // (count, samples or 1): the first cell of the run
    const int32_t* cells;    // (count, samples or 1): how many cells, 0 or more
    const double* grid;      // (points, samples or 1)
    bool runs_per_sample, grid_per_sample;
    size_t samples;
    size_t count;
    const signed char* sign;  // (count, samples or 1): -1 for a run taken backwards, which turns W round
    void* w;
    void* h;
    size_t stride;
};

// One block's share of plain normals: `count` nodes for each sample.
struct NormalsTask {
    const Block* block;
    Key key;
    const int64_t* nodes;  // (count, samples or 1)
    bool nodes_per_sample;
    size_t samples;
    size_t count;
    uint32_t domain_and_kind;
    void* out;
    size_t stride;
};

struct Kernels {
    const char* name;
    void (*words)(const uint32_t* counter, size_t count, Key key, uint32_t* out);  // planes of `count`, any count
    // [0] in float32, [1] in float64.
    void (*tree[2])(const TreeTask&);
    void (*cells[2])(const CellsTask&);
    void (*normals[2])(const NormalsTask&);
};

extern const Kernels baseline_kernels;
#if defined(__x86_64__) || defined(_M_X64)
#define LATENTSDE_X86 1
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;
#endif

}  // namespace latentsde
