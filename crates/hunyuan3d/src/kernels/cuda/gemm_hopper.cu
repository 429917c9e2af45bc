// x · wᵀ + bias and an activation, on Hopper. There are two sets of accumulators: while one is filled, what the other holds
// leaves, so that activations and stores cost the tensor cores nothing.
//
// EPILOGUE: kernels::Epilogue's number.

// Sends a part of a finished tile on its way.
struct Leaving {
    const elem* bias;
    elem* out;
    u32 staging;
    int lane, columns;
    // The finished tile: where its first row of this warp begins, its first column, rows below its first.
    u64 place;
    int column, left;
    u32 biases[PART / 8];

    // Of eight rows at a time, this lane's 16 bytes.
    __device__ __forceinline__ bool inside(int part, int half) const {
        return lane / 4 + 8 * half < left && column + part * PART + lane % 4 * 8 < columns;
    }
    __device__ __forceinline__ u64 at(int part, int half) const {
        return place + (u64)(lane / 4 + 8 * half) * columns + part * PART + lane % 4 * 8;
    }
    // Loads ahead what is added to a part.
    __device__ __forceinline__ void fetch(int part) {
#pragma unroll
        for (int i = 0; i < PART / 8; i++) {
            const int at = column + part * PART + i * 8 + lane % 4 * 2;
            biases[i] = 0;
            if (bias && at < columns) biases[i] = __ldg(reinterpret_cast<const u32*>(bias + at));
        }
    }
    __device__ __forceinline__ void send(const float* d, int part) {
        __syncwarp();
#pragma unroll
        for (int i = 0; i < PART / 8; i++) {
            const float2 b = unpack(biases[i]);
            const float* v = d + part * PART / 2 + 4 * i;
            const u32 to = staging + lane / 4 * PART_BYTES + i * 16 + lane % 4 * 4;
            const u32 upper = pack(activate<EPILOGUE>(v[0] + b.x), activate<EPILOGUE>(v[1] + b.y));
            const u32 lower = pack(activate<EPILOGUE>(v[2] + b.x), activate<EPILOGUE>(v[3] + b.y));
            asm volatile("st.shared.b32 [%0], %1;" ::"r"(to), "r"(upper) : "memory");
            asm volatile("st.shared.b32 [%0], %1;" ::"r"(to + 8 * PART_BYTES), "r"(lower) : "memory");
        }
        __syncwarp();
#pragma unroll
        for (int half = 0; half < 2; half++) {
            uint4 values = shared_16(staging + (lane / 4 + 8 * half) * PART_BYTES + lane % 4 * 16);
            if (inside(part, half)) *reinterpret_cast<uint4*>(out + at(part, half)) = values;
        }
        if (part + 1 < PARTS) fetch(part + 1);
    }
};

extern "C" __global__ void __launch_bounds__(128 * (GROUPS + 1), 1)
    gemm(const __grid_constant__ TensorMap x_map, const __grid_constant__ TensorMap w_map, const void*, const void*,
         const void*, const void*, const elem* __restrict__ bias, const void*, const void*, elem* out, const __grid_constant__ GemmInfo info) {
    extern __shared__ unsigned char raw[];
    const u32 base = (shared_address(raw) + 1023) & ~1023u;
    const u32 staging_all = base + STAGES * STAGE_BYTES;
    const u32 full = staging_all + 4 * GROUPS * 16 * PART_BYTES, empty = full + 8 * STAGES;
    const int group = threadIdx.x / 128;
    const int columns = (int)info.columns, rows = (int)info.rows, row_tiles = (int)info.row_tiles;
    const int all_row_tiles = row_tiles * (int)info.batches, column_tiles = (columns + COLUMNS - 1) / COLUMNS;
    const int tiles = all_row_tiles * column_tiles, steps = ((int)info.depth + DEPTH - 1) / DEPTH;

    if (threadIdx.x == 0) {
        for (int i = 0; i < STAGES; i++) {
            barrier_init(full + 8 * i, 1);
            barrier_init(empty + 8 * i, 4 * GROUPS);
        }
        barriers_visible();
    }
    __syncthreads();

    if (group == GROUPS) {
        FEWER_REGISTERS(PRODUCER_REGISTERS);
        if (threadIdx.x == 128 * GROUPS) {
            feed(&x_map, &w_map, base, full, empty, tiles, steps, row_tiles, all_row_tiles, column_tiles);
        }
        return;
    }
    MORE_REGISTERS(CONSUMER_REGISTERS);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
    Leaving leaving;
    leaving.bias = info.has_bias ? bias : nullptr, leaving.out = out;
    leaving.staging = staging_all + (group * 4 + warp) * 16 * PART_BYTES;
    leaving.lane = lane, leaving.columns = columns;
    bool waiting = false;
    int stage = 0, round = 0, held = 0;

    // A tile into one set of accumulators, while the tile before leaves from the other.
    auto pass = [&](int index, float (&now)[COLUMNS / 2], float (&past)[COLUMNS / 2]) {
        auto advance = [&](int step) {
            barrier_wait(full + 8 * stage, round & 1);
            multiply(now, base + stage * STAGE_BYTES, group, step > 0);
        };
        // Up to two steps stay under way while results leave; the shared memory of those before is free.
        auto settle = [&](int left) {
            held++;
            while (held > left) {
                const int oldest = stage - held + 1;
                if (lane == 0) barrier_arrive(empty + 8 * (oldest < 0 ? oldest + STAGES : oldest));
                held--;
            }
            if (++stage == STAGES) stage = 0, round++;
        };
        advance(0);
        product_wait<1>();
        settle(1);
        hold(past);
        int step = 1;
#pragma unroll
        for (int part = 0; part < PARTS; part++) {
            const bool some = step < steps;
            if (some) advance(step);
            if (waiting) leaving.send(past, part);
            if (some) {
                product_wait<2>();
                settle(2);
                step++;
            }
        }
        for (; step < steps; step++) {
            advance(step);
            product_wait<2>();
            settle(2);
        }
        const Tile tile = tile_at(index, row_tiles, all_row_tiles, column_tiles);
        const int first = tile.row + group * 64 + warp * 16;
        leaving.place = ((u64)tile.batch * rows + first) * columns + tile.column;
        leaving.column = tile.column, leaving.left = rows - first;
        leaving.fetch(0);
        waiting = true;
    };
    auto finish = [&](float (&last)[COLUMNS / 2]) {
        product_wait<0>();
        hold(last);
#pragma unroll
        for (int part = 0; part < PARTS; part++) leaving.send(last, part);
    };
    float even[COLUMNS / 2], odd[COLUMNS / 2];
    for (int index = blockIdx.x; index < tiles; index += gridDim.x) {
        pass(index, even, odd);
        index += gridDim.x;
        if (index >= tiles) return finish(even);
        pass(index, odd, even);
        if (index + (int)gridDim.x >= tiles) return finish(odd);
    }
}
