// The virtual tree over one block of lanes (docs/brownian.md). Included once by each instruction set.
//
// Units: the span is 1. A node (level, k) is the interval [k, k + 1] 2^-level with its W and H; its area is length * H.

template <class Real>
struct Piece {  // an interval's increment, its area between path and chord, and its length
    alignas(64) Real w[BLOCK], area[BLOCK];
    Real length;
};

// The deviations of the tree's normals at each level, and those of a point inside a leaf, are made in double.
INLINE double level_scale(int level) {
    return bits_to_real((int64_t)(1023 - level / 2) << 52) * (level % 2 ? 0.70710678118654752440 : 1.0);
}
INLINE uint64_t level_ticks(int level) { return (uint64_t)1 << (TIME_BITS - level); }

// The two halves of a node that was split.
template <class Real>
struct Halves {
    alignas(64) Real w_left[BLOCK], w_right[BLOCK], h_left[BLOCK], h_right[BLOCK];
};

template <class Real>
struct Node {
    const Real *w, *h;
};

template <class Real>
struct Tree {
    const Block& block;
    const Key key;
    Chain& chain;
    const TreeTask& task;
    const int size;  // numbers of a block that are in use, whole planes

    Tree(const TreeTask& task)
        : block(*task.block),
          key(task.key),
          chain(*task.chain),
          task(task),
          size(task.block->planes > 2 ? BLOCK : 2 * LANES) {}

    void draw(uint32_t node, uint32_t kind, Real* out) const { normals(block, &node, true, kind, key, out); }

    // The halves of the last node that was split at a level. The whole path is the left half of level -1.
    Halves<Real>& halves(int level) const {
        const int at = level + 1;
        if (at < task.kept_levels) return *(Halves<Real>*)((char*)task.memory + at * task.level_bytes);
        return ((Halves<Real>*)task.rest)[at - task.kept_levels];
    }

    void begin() {
        if (chain.has_root) return;
        Halves<Real>& root = halves(-1);
        const Real deviation = (Real)0.28867513459481288225;  // sqrt(1/12)
        draw(0, 0, root.w_left);
        draw(0, KIND_H, root.h_left);
        for (int i = 0; i < size; i++) root.h_left[i] *= deviation;
        chain.has_root = true;
    }

    // The node (level, k); its parent has been split.
    Node<Real> node(int level, uint32_t k) const {
        const Halves<Real>& parent = halves(level - 1);
        return k & 1 ? Node<Real>{parent.w_right, parent.h_right} : Node<Real>{parent.w_left, parent.h_left};
    }

    bool has(int level, uint32_t k, bool with_h) const {
        return chain.split[level] == k && chain.state[level] >= (with_h ? Chain::COMPLETE : Chain::ONLY_W);
    }

    // Make sure that (level, k) and all above it are split. Without `with_h` its halves may be left without H, which
    // nobody needs of the last nodes of a query for W alone, half of all nodes in a dyadic sweep.
    void split(int level, uint32_t k, bool with_h) {
        if (has(level, k, with_h)) return;
        int from = level;
        while (from > 0 && !has(from - 1, k >> (level - from + 1), true)) from--;
        for (int at = from; at <= level; at++) split_node(at, k >> (level - at), with_h || at < level);
    }

    void split_node(int level, uint32_t k, bool with_h) {
        Halves<Real>& made = halves(level);
        const Node<Real> whole = node(level, k);
        const double scale = level_scale(level);
        const uint32_t number = ((uint32_t)1 << level) + k;
        const Real deviation = (Real)(0.25 * scale), of_h = (Real)(0.14433756729740644113 * scale);  // sqrt(1/48)
        alignas(64) Real first[BLOCK], second[BLOCK];
        draw(number, 0, first);
        if (with_h) draw(number, KIND_H, second);
        for (int i = 0; i < size; i++) {
            const Real z = deviation * first[i];
            const Real left = (Real)0.5 * whole.w[i] + ((Real)1.5 * whole.h[i] + z);
            made.w_left[i] = left;
            made.w_right[i] = whole.w[i] - left;
            first[i] = z;
        }
        if (with_h)
            for (int i = 0; i < size; i++) {
                const Real n = of_h * second[i], shared = (Real)0.25 * whole.h[i] - (Real)0.5 * first[i];
                made.h_left[i] = shared + n;
                made.h_right[i] = shared - n;
            }
        chain.split[level] = k;
        chain.state[level] = with_h ? Chain::COMPLETE : Chain::ONLY_W;
    }

    static void copy(const Node<Real>& node, Real length, bool area, int size, Piece<Real>& out) {
        for (int i = 0; i < size; i++) out.w[i] = node.w[i];
        if (area)
            for (int i = 0; i < size; i++) out.area[i] = length * node.h[i];
        out.length = length;
    }

    // total = left + right, where one of them is total itself.
    static void join(const Real* w_left, const Real* area_left, Real length_left, const Real* w_right,
                     const Real* area_right, Real length_right, bool area, int size, Piece<Real>& total) {
        if (area)
            for (int i = 0; i < size; i++)
                total.area[i] = (area_left[i] + area_right[i]) +
                                (Real)0.5 * (length_right * w_left[i] - length_left * w_right[i]);
        for (int i = 0; i < size; i++) total.w[i] = w_left[i] + w_right[i];
        total.length = length_left + length_right;
    }

    void join_left(const Piece<Real>& left, bool area, Piece<Real>& total) const {
        join(left.w, left.area, left.length, total.w, total.area, total.length, area, size, total);
    }
    void join_right(const Piece<Real>& right, bool area, Piece<Real>& total) const {
        join(total.w, total.area, total.length, right.w, right.area, right.length, area, size, total);
    }

    // The part of leaf k before or after the point `ticks` into it.
    void leaf(uint32_t k, uint64_t ticks, bool after, bool area, Piece<Real>& out) {
        split(DEPTH - 1, k >> 1, true);
        const Node<Real> whole = node(DEPTH, k);
        const double scale = level_scale(DEPTH), length = bits_to_real((int64_t)(1023 - DEPTH) << 52);
        const double r = (double)ticks / (double)level_ticks(DEPTH), product = r * (1.0 - r);
        const double deviation_x = __builtin_sqrt(product * (1.0 - 3.0 * product));
        const double slope = -0.5 * r * r * product / deviation_x;
        const double variance_y = r * (1.0 - r * r * r) / 12.0 - slope * slope;
        const Real x = (Real)(scale * deviation_x), y_first = (Real)(scale * slope);
        const Real y_second = (Real)(scale * __builtin_sqrt(variance_y > 0.0 ? variance_y : 0.0));
        const Real share = (Real)r, share_h = (Real)(6.0 * product), square = (Real)(r * r);
        const Real before = (Real)(r * length), rest = (Real)((1.0 - r) * length);
        alignas(64) Real first[BLOCK], second[BLOCK];
        draw(((uint32_t)1 << DEPTH) + k, 0, first);
        if (area) draw(((uint32_t)1 << DEPTH) + k, KIND_H, second);
        for (int i = 0; i < size; i++) {
            const Real w = share * whole.w[i] + (share_h * whole.h[i] + x * first[i]);
            out.w[i] = after ? whole.w[i] - w : w;
        }
        out.length = after ? rest : before;
        if (!area) return;
        for (int i = 0; i < size; i++) {
            const Real left = before * (square * whole.h[i] + (y_first * first[i] + y_second * second[i]));
            const Real w_left = after ? whole.w[i] - out.w[i] : out.w[i];
            const Real of_right = ((Real)length * whole.h[i] - left) -
                                  (Real)0.5 * (rest * w_left - before * (whole.w[i] - w_left));
            out.area[i] = after ? of_right : left;
        }
    }

    // From `low` to the end of the node (level, k), in which it lies.
    void right_part(uint64_t low, int level, uint32_t k, bool area, Piece<Real>& total) {
        bool begun = false;
        Piece<Real> piece;
        for (;; level++) {
            const uint64_t start = k * level_ticks(level);
            if (low == start || level == DEPTH) {
                if (low == start)
                    copy(node(level, k), (Real)length_of(level), area, size, begun ? piece : total);
                else
                    leaf(k, low - start, true, area, begun ? piece : total);
                if (begun) join_left(piece, area, total);
                return;
            }
            const uint64_t middle = start + level_ticks(level + 1);
            split(level, k, area || low != middle);
            k *= 2;
            if (low < middle) {
                copy(node(level + 1, k + 1), (Real)length_of(level + 1), area, size, begun ? piece : total);
                if (begun) join_left(piece, area, total);
                begun = true;
            } else {
                k++;
            }
        }
    }

    // From the start of the node (level, k) to `high`, which lies in it.
    void left_part(uint64_t high, int level, uint32_t k, bool area, Piece<Real>& total) {
        bool begun = false;
        Piece<Real> piece;
        for (;; level++) {
            const uint64_t start = k * level_ticks(level), end = start + level_ticks(level);
            if (high == end || level == DEPTH) {
                if (high == end)
                    copy(node(level, k), (Real)length_of(level), area, size, begun ? piece : total);
                else
                    leaf(k, high - start, false, area, begun ? piece : total);
                if (begun) join_right(piece, area, total);
                return;
            }
            const uint64_t middle = start + level_ticks(level + 1);
            split(level, k, area || high != middle);
            k *= 2;
            if (high > middle) {
                copy(node(level + 1, k), (Real)length_of(level + 1), area, size, begun ? piece : total);
                if (begun) join_right(piece, area, total);
                begun = true;
                k++;
            }
        }
    }

    static double length_of(int level) { return bits_to_real((int64_t)(1023 - level) << 52); }

    // Both ends in one leaf: the difference of its two parts.
    void inside_leaf(uint64_t low, uint64_t high, bool area, Piece<Real>& total) {
        const uint32_t k = (uint32_t)(low >> (TIME_BITS - DEPTH));
        const uint64_t start = k * level_ticks(DEPTH);
        if (low == start) return left_part(high, DEPTH, k, area, total);
        if (high == start + level_ticks(DEPTH)) return right_part(low, DEPTH, k, area, total);
        Piece<Real> shorter;
        leaf(k, low - start, false, area, shorter);
        leaf(k, high - start, false, area, total);
        const Real length = (Real)((double)(high - low) / (double)((uint64_t)1 << TIME_BITS));
        for (int i = 0; i < size; i++) {
            const Real w = total.w[i] - shorter.w[i];
            if (area)
                total.area[i] = (total.area[i] - shorter.area[i]) -
                                (Real)0.5 * (length * shorter.w[i] - shorter.length * w);
            total.w[i] = w;
        }
        total.length = length;
    }

    void increment(const Interval& interval, bool area, Piece<Real>& total) {
        const uint64_t low = interval.low, high = interval.high;
        // The smallest node around the interval: `low` and the last tick before `high` agree in its bits.
        const uint64_t different = low ^ (high - 1);
        const int level = different ? TIME_BITS - (64 - __builtin_clzll(different)) : TIME_BITS;
        if (level >= DEPTH) {
            split(DEPTH - 1, (uint32_t)(low >> (TIME_BITS - DEPTH)) >> 1, true);
            return inside_leaf(low, high, area, total);
        }
        const uint32_t k = (uint32_t)(low >> (TIME_BITS - level));
        const uint64_t start = k * level_ticks(level);
        if (low == start && high == start + level_ticks(level)) {
            if (level > 0) split(level - 1, k >> 1, area);
            return copy(node(level, k), (Real)length_of(level), area, size, total);
        }
        split(level, k, true);
        // The end at which the next query is likely to begin goes last, so that the chain ends there.
        Piece<Real> right;
        if (interval.backwards) {
            left_part(high, level + 1, 2 * k + 1, area, right);
            right_part(low, level + 1, 2 * k, area, total);
        } else {
            right_part(low, level + 1, 2 * k, area, total);
            left_part(high, level + 1, 2 * k + 1, area, right);
        }
        join_right(right, area, total);
    }
};

template <class Real>
static void tree(const TreeTask& task) {
    Tree<Real> path(task);
    path.begin();
    const bool area = task.h != nullptr;
    const Real scale = (Real)__builtin_sqrt(task.span);
    Real *w = (Real*)task.w, *h = (Real*)task.h;
    Piece<Real> total;
    for (size_t q = 0; q < task.count; q++, w += task.stride, h += area ? task.stride : 0) {
        const Interval& interval = task.intervals[q];
        if (interval.low == interval.high) {
            for (int i = 0; i < BLOCK; i++) total.w[i] = total.area[i] = (Real)0;
            total.length = (Real)1;
        } else {
            path.increment(interval, area, total);
        }
        place(path.block, total.w, interval.backwards ? -scale : scale, w);
        if (area) place(path.block, total.area, scale / total.length, h);
    }
}
