// residual + gate · (x · wᵀ + bias), on Hopper. A tile's products wait in registers, in half precision, and go onto the
// residual while the next tile is multiplied.
//
// EPILOGUE: 5 with a gate, 6 without.

// Sends a part of a finished tile on its way.
struct Leaving {
    const elem *gate, *residual;
    elem* out;
    u32 staging;
    int lane, columns;
    // The finished tile: its first row of this warp, its first column, rows below the first, gate's offset.
    u64 place, gate_offset;
    int column, left;
    uint4 old[2], gates;

    // Of eight rows at a time, this lane's 16 bytes.
    __device__ __forceinline__ bool inside(int part, int half) const {
        return lane / 4 + 8 * half < left && column + part * PART + lane % 4 * 8 < columns;
    }
    __device__ __forceinline__ u64 at(int part, int half) const {
        return place + (u64)(lane / 4 + 8 * half) * columns + part * PART + lane % 4 * 8;
    }
    __device__ __forceinline__ void fetch(int part) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            if (inside(part, half)) old[half] = *reinterpret_cast<const uint4*>(residual + at(part, half));
        }
#if EPILOGUE == 5
        if (inside(part, 0)) gates = __ldg(reinterpret_cast<const uint4*>(gate + gate_offset + part * PART + lane % 4 * 8));
#endif
    }
    __device__ __forceinline__ void send(const u32* packed, int part) {
        __syncwarp();
#pragma unroll
        for (int i = 0; i < PART / 8; i++) {
            const u32 to = staging + lane / 4 * PART_BYTES + i * 16 + lane % 4 * 4;
            asm volatile("st.shared.b32 [%0], %1;" ::"r"(to), "r"(packed[2 * i]) : "memory");
            asm volatile("st.shared.b32 [%0], %1;" ::"r"(to + 8 * PART_BYTES), "r"(packed[2 * i + 1]) : "memory");
        }
        __syncwarp();
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const uint4 values = shared_16(staging + (lane / 4 + 8 * half) * PART_BYTES + lane % 4 * 16);
            Eight x, y, g;
            y.set(values);
            x.set(old[half]);
#if EPILOGUE == 5
            g.set(gates);
#endif
#pragma unroll
            for (int j = 0; j < 8; j++) x.v[j] = EPILOGUE == 5 ? fmaf(g.v[j], y.v[j], x.v[j]) : x.v[j] + y.v[j];
            if (inside(part, half)) *reinterpret_cast<uint4*>(out + at(part, half)) = x.raw();
        }
        if (part + 1 < PARTS) fetch(part + 1);
    }
};

extern "C" __global__ void __launch_bounds__(128 * (GROUPS + 1), 1)
    gemm(const __grid_constant__ TensorMap x_map, const __grid_constant__ TensorMap w_map, const void*, const void*,
         const void*, const void*, const elem* __restrict__ bias, const elem* __restrict__ gate, const elem* residual,
         elem* out, const __grid_constant__ GemmInfo info) {
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
    leaving.gate = gate, leaving.residual = residual, leaving.out = out;
    leaving.staging = staging_all + (group * 4 + warp) * 16 * PART_BYTES;
    leaving.lane = lane, leaving.columns = columns;
    bool waiting = false;
    u32 packed[COLUMNS / 4];
    float d[COLUMNS / 2];
    int stage = 0, round = 0;

    auto advance = [&](bool add) {
        barrier_wait(full + 8 * stage, round & 1);
        multiply(d, base + stage * STAGE_BYTES, group, add);
    };
    auto release = [&](int which) {
        if (lane == 0) barrier_arrive(empty + 8 * which);
    };
    auto before = [&]() { return stage == 0 ? STAGES - 1 : stage - 1; };
    auto next = [&]() {
        if (++stage == STAGES) stage = 0, round++;
    };

    for (int index = blockIdx.x; index < tiles; index += gridDim.x) {
        const Tile tile = tile_at(index, row_tiles, all_row_tiles, column_tiles);
        // What the tile before left behind leaves beside the first products of this one.
#pragma unroll
        for (int part = 0; part < PARTS; part++) {
            if (part < steps) advance(part > 0);
            if (waiting) leaving.send(packed + part * PART / 4, part);
            if (part < steps) {
                if (part > 0) {
                    product_wait<1>();
                    release(before());
                }
                next();
            }
        }
        for (int step = PARTS; step < steps; step++) {
            advance(true);
            product_wait<1>();
            release(before());
            next();
        }
        product_wait<0>();
        hold(d);
        release(before());

        const int first = tile.row + group * 64 + warp * 16;
        leaving.place = ((u64)tile.batch * rows + first) * columns + tile.column;
        leaving.gate_offset = tile.batch * info.gate_stride + tile.column;
        leaving.column = tile.column, leaving.left = rows - first;
        waiting = true;
        leaving.fetch(0);
#pragma unroll
        for (int i = 0; i < COLUMNS / 8; i++) {
            const int at = tile.column + i * 8 + lane % 4 * 2;
            float2 b = make_float2(0.0f, 0.0f);
            if (info.has_bias && at < columns) b = unpack(__ldg(reinterpret_cast<const u32*>(bias + at)));
            packed[2 * i] = pack(d[4 * i] + b.x, d[4 * i + 1] + b.y);
            packed[2 * i + 1] = pack(d[4 * i + 2] + b.x, d[4 * i + 3] + b.y);
        }
    }
    if (waiting) {
#pragma unroll
        for (int part = 0; part < PARTS; part++) leaving.send(packed + part * PART / 4, part);
    }
}
