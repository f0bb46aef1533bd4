// Runs of cells of a step grid, each cell an independent draw (docs/brownian.md). Included once by each instruction set.

template <class Real>
static void cells(const CellsTask& task) {
    const Block& block = *task.block;
    const int size = block.planes > 2 ? BLOCK : 2 * LANES;
    const size_t grid_stride = task.grid_per_sample ? task.samples : 1;
    const size_t run_stride = task.runs_per_sample ? task.samples : 1;
    const bool shared = !task.runs_per_sample && !task.grid_per_sample;
    const bool area = task.h != nullptr;
    Real *w = (Real*)task.w, *h = (Real*)task.h;
    alignas(64) Real total_w[BLOCK], total_area[BLOCK], draw[BLOCK], draw_h[BLOCK];
    alignas(64) Real total_length[LANES], length[LANES], deviation[LANES], step[LANES], sign[LANES];
    alignas(64) uint32_t node[LANES];
    for (size_t q = 0; q < task.count; q++, w += task.stride, h += area ? task.stride : 0) {
        const int32_t* first = task.first + q * run_stride;
        const int32_t* cells = task.cells + q * run_stride;
        const signed char* signs = task.sign + q * run_stride;
        int32_t longest = 0;
        for (int i = 0; i < (shared ? 1 : block.lanes); i++) {
            const int32_t n = cells[task.runs_per_sample ? block.sample[i] : 0];
            longest = n > longest ? n : longest;
        }
        for (int i = 0; i < LANES; i++) total_length[i] = sign[i] = (Real)0;
        for (int i = 0; i < size; i++) total_w[i] = total_area[i] = (Real)0;
        for (int32_t cell = 0; cell < longest; cell++) {
            for (int i = 0; i < (shared ? 1 : LANES); i++) {
                const int lane = i < block.lanes ? i : 0;
                const size_t run = task.runs_per_sample ? block.sample[lane] : 0;
                const size_t column = task.grid_per_sample ? block.sample[lane] : 0;
                const bool inside = cell < cells[run];
                const int32_t at = inside ? first[run] + cell : 0;
                const double* left = task.grid + (size_t)at * grid_stride + column;
                const double gap = inside ? left[grid_stride] - left[0] : 0.0, size_of = gap < 0.0 ? -gap : gap;
                node[i] = (uint32_t)at;
                length[i] = (Real)size_of;
                deviation[i] = (Real)__builtin_sqrt(size_of);
                step[i] = gap < 0.0 ? -deviation[i] : deviation[i];  // a descending grid goes back in time
                sign[i] = (Real)signs[run];
            }
            if (shared)
                for (int i = 1; i < LANES; i++) {
                    length[i] = length[0];
                    deviation[i] = deviation[0];
                    step[i] = step[0];
                    sign[i] = sign[0];
                }
            normals(block, node, shared, CELL_DOMAIN, task.key, draw);
            if (area) {
                const Real narrower = (Real)0.28867513459481288225;  // sqrt(1/12)
                normals(block, node, shared, CELL_DOMAIN | KIND_H, task.key, draw_h);
                for (int j = 0; j < size; j += LANES)
                    for (int i = 0; i < LANES; i++) {
                        const Real of_cell = length[i] * (narrower * deviation[i] * draw_h[j + i]);
                        const Real triangle = (Real)0.5 * (length[i] * total_w[j + i] -
                                                           total_length[i] * (step[i] * draw[j + i]));
                        total_area[j + i] += of_cell + triangle;
                    }
            }
            for (int j = 0; j < size; j += LANES)
                for (int i = 0; i < LANES; i++) total_w[j + i] += step[i] * draw[j + i];
            for (int i = 0; i < LANES; i++) total_length[i] += length[i];
        }
        for (int j = 0; j < size; j += LANES)
            for (int i = 0; i < LANES; i++) total_w[j + i] *= sign[i];
        place(block, total_w, (Real)1, w);
        if (!area) continue;
        for (int i = 0; i < LANES; i++) length[i] = total_length[i] > (Real)0 ? total_length[i] : (Real)1;
        for (int j = 0; j < size; j += LANES)
            for (int i = 0; i < LANES; i++) total_area[j + i] /= length[i];
        place(block, total_area, (Real)1, h);
    }
}

// Normals of any nodes, unscaled.
template <class Real>
static void plain_normals(const NormalsTask& task) {
    const Block& block = *task.block;
    Real* out = (Real*)task.out;
    alignas(64) Real draw[BLOCK];
    alignas(64) uint32_t node[LANES];
    for (size_t q = 0; q < task.count; q++, out += task.stride) {
        const int64_t* nodes = task.nodes + q * (task.nodes_per_sample ? task.samples : 1);
        for (int i = 0; i < LANES; i++)
            node[i] = (uint32_t)nodes[task.nodes_per_sample ? block.sample[i < block.lanes ? i : 0] : 0];
        normals(block, node, !task.nodes_per_sample, task.domain_and_kind, task.key, draw);
        place(block, draw, (Real)1, out);
    }
}
