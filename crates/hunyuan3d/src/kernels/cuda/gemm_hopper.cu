// x · wᵀ with what follows it, on Hopper: one warp feeds shared memory through the copy engine, the others multiply, each
// warpgroup 64 rows. A tile's results wait in registers, in half precision, and leave while the next tile is multiplied.
//
// GROUPS: multiplying warpgroups. COLUMNS: of a block's tile, 128 or 256. STAGES: pieces of depth in flight.
// EPILOGUE: kernels::Epilogue's number, or 5: out = residual + gate · (x · wᵀ + bias), 6: the same without a gate;
// 7: x · wᵀ + bias is queries, keys and values of heads of 64 side by side, queries' and keys' heads get RMS norms;
// 8: row_scale · (x · wᵀ) + bias is heads of 64, each gets a layer norm.
#ifndef GROUPS
#define GROUPS 2
#endif
#ifndef COLUMNS
#define COLUMNS 256
#endif
#ifndef STAGES
#define STAGES 4
#endif
#ifndef EPILOGUE
#define EPILOGUE 0
#endif
// Whether what was there before is added to.
#define ADDS (EPILOGUE == 5 || EPILOGUE == 6)
#define HEAD 64
#define ROWS (64 * GROUPS)
#define DEPTH 64
#define X_BYTES (ROWS * 128)
#define W_BYTES (COLUMNS * 128)
#define STAGE_BYTES (X_BYTES + W_BYTES)
// Columns that a warp stages at a time on their way out, and the bytes of a staged row.
#define PART 32
#define PARTS (COLUMNS / PART)
#define PART_BYTES (PART * 2 + 16)

// Together what the block was launched with, or the increase waits for ever.
#if GROUPS == 3
#define PRODUCER_REGISTERS 32
#define CONSUMER_REGISTERS 160
#else
#define PRODUCER_REGISTERS 40
#define CONSUMER_REGISTERS 232
#endif

struct GemmInfo {
    // Batches of x and rows in each; columns and depth of the product; row tiles of a batch; elements from a batch's gate
    // to the next's; whether there is a bias; elements from a batch of the result to the next; heads of the queries and the
    // bits of their norm's epsilon.
    u64 batches, rows, columns, depth, row_tiles, gate_stride, has_bias, out_batch, heads, epsilon;
};

// Where a tile lies.
struct Tile {
    int batch, row, column;
};

__device__ __forceinline__ Tile tile_at(int index, int row_tiles, int all_row_tiles, int column_tiles) {
    // Bands of rows, so that what is read at a time stays in the cache.
    const int band = 16, in_band = band * column_tiles, begin = index / in_band * band;
    const int height = min(band, all_row_tiles - begin), rest = index % in_band;
    const int row_tile = begin + rest % height;
    return {row_tile / row_tiles, row_tile % row_tiles * ROWS, rest / height * COLUMNS};
}

__device__ __forceinline__ uint4 shared_16(u32 from) {
    uint4 v;
    asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(from));
    return v;
}

// Sends a part of a finished tile on its way.
struct Leaving {
    const elem *gate, *residual;
    elem* out;
    u32 staging;
    int lane, rows, columns;
    // The finished tile: its first row of this warp, its first column, rows below the first, gate's offset.
    u64 place;
    u32 gate_offset;
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
#if ADDS
#pragma unroll
        for (int half = 0; half < 2; half++) {
            if (inside(part, half)) old[half] = *reinterpret_cast<const uint4*>(residual + at(part, half));
        }
#if EPILOGUE == 5 && COLUMNS < 256
        gates = gates_of(part);
#endif
#endif
    }
    __device__ __forceinline__ uint4 gates_of(int part) const {
        if (!inside(part, 0)) return make_uint4(0, 0, 0, 0);
        return __ldg(reinterpret_cast<const uint4*>(gate + gate_offset + part * PART + lane % 4 * 8));
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
            uint4 values = shared_16(staging + (lane / 4 + 8 * half) * PART_BYTES + lane % 4 * 16);
#if ADDS
            Eight x, y, g;
            y.set(values);
            x.set(old[half]);
#if EPILOGUE == 5
            // A wide tile has no registers left in which gates could wait beside the residual: they would spill.
            g.set(COLUMNS < 256 ? gates : gates_of(part));
#endif
#pragma unroll
            for (int j = 0; j < 8; j++) x.v[j] = EPILOGUE == 5 ? fmaf(g.v[j], y.v[j], x.v[j]) : x.v[j] + y.v[j];
            values = x.raw();
#endif
            if (inside(part, half)) *reinterpret_cast<uint4*>(out + at(part, half)) = values;
        }
        if (part + 1 < PARTS) fetch(part + 1);
    }
};

__device__ __forceinline__ float sum_of_row(float x) {
    // A row of an accumulator lies in four lanes.
    x += __shfl_xor_sync(~0u, x, 1);
    return x + __shfl_xor_sync(~0u, x, 2);
}

// The norm of a head's 64 channels of two rows, in this lane d[4 i], d[4 i + 1] of the one and d[4 i + 2], d[4 i + 3] of the other.
// `gain` and `offset` (none: no offset, RMS norm) begin at the lane's first channel.
__device__ __forceinline__ void norm_head(float (&d)[COLUMNS / 2], int first, const elem* gain, const elem* offset, float epsilon) {
#pragma unroll
    for (int row = 0; row < 4; row += 2) {
        float mean = 0.0f, squares = 0.0f;
        if (offset) {
#pragma unroll
            for (int i = first; i < first + HEAD / 8; i++) mean += d[4 * i + row] + d[4 * i + row + 1];
            mean = sum_of_row(mean) * (1.0f / HEAD);
        }
#pragma unroll
        for (int i = first; i < first + HEAD / 8; i++) {
            d[4 * i + row] -= mean;
            d[4 * i + row + 1] -= mean;
            squares = fmaf(d[4 * i + row], d[4 * i + row], fmaf(d[4 * i + row + 1], d[4 * i + row + 1], squares));
        }
        const float inverse = rsqrtf(sum_of_row(squares) * (1.0f / HEAD) + epsilon);
#pragma unroll
        for (int i = 0; i < HEAD / 8; i++) {
            const float2 g = unpack(__ldg(reinterpret_cast<const u32*>(gain + i * 8)));
            const float2 o = offset ? unpack(__ldg(reinterpret_cast<const u32*>(offset + i * 8))) : make_float2(0.0f, 0.0f);
            float& a = d[4 * (first + i) + row];
            float& b = d[4 * (first + i) + row + 1];
            a = fmaf(a * inverse, g.x, o.x);
            b = fmaf(b * inverse, g.y, o.y);
        }
    }
}

extern "C" __global__ void __launch_bounds__(128 * (GROUPS + 1), 1)
    gemm(const __grid_constant__ TensorMap x_map, const __grid_constant__ TensorMap w_map, const void*, const void*,
         const void*, const void*, const elem* __restrict__ bias, const elem* __restrict__ gate, const elem* residual,
         const float* __restrict__ row_scale, elem* out, const __grid_constant__ GemmInfo info) {
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
            int stage = 0, round = 0;
            for (int index = blockIdx.x; index < tiles; index += gridDim.x) {
                const Tile tile = tile_at(index, row_tiles, all_row_tiles, column_tiles);
                for (int step = 0; step < steps; step++) {
                    if (round > 0) barrier_wait(empty + 8 * stage, (round - 1) & 1);
                    const u32 x_at = base + stage * STAGE_BYTES, barrier = full + 8 * stage;
                    barrier_expect(barrier, STAGE_BYTES);
                    copy_3d(x_at, &x_map, barrier, step * DEPTH, tile.row, tile.batch);
                    copy_2d(x_at + X_BYTES, &w_map, barrier, step * DEPTH, tile.column);
                    if (++stage == STAGES) stage = 0, round++;
                }
            }
        }
        return;
    }
    MORE_REGISTERS(CONSUMER_REGISTERS);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
    Leaving leaving;
    leaving.gate = gate, leaving.residual = residual, leaving.out = out;
    leaving.staging = staging_all + (group * 4 + warp) * 16 * PART_BYTES;
    leaving.lane = lane, leaving.rows = rows, leaving.columns = columns;
    bool waiting = false;
    u32 packed[COLUMNS / 4];
    float d[COLUMNS / 2];
    int stage = 0, round = 0;

    auto multiply = [&](bool add) {
        barrier_wait(full + 8 * stage, round & 1);
        const u64 x = descriptor(base + stage * STAGE_BYTES + group * 64 * 128);
        const u64 w = descriptor(base + stage * STAGE_BYTES + X_BYTES);
        product_fence();
#pragma unroll
        for (int i = 0; i < 4; i++) {
#if COLUMNS == 256
            product_256(d, x + 2 * i, w + 2 * i, add || i > 0);
#else
            product_128(d, x + 2 * i, w + 2 * i, add || i > 0);
#endif
        }
        product_commit();
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
            if (part < steps) multiply(part > 0);
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
            multiply(true);
            product_wait<1>();
            release(before());
            next();
        }
        product_wait<0>();
        hold(d);
        release(before());

        const int first = tile.row + group * 64 + warp * 16;
        leaving.place = tile.batch * info.out_batch + (u64)first * columns + tile.column;
        leaving.gate_offset = tile.batch * (u32)info.gate_stride + tile.column;
        leaving.column = tile.column, leaving.left = rows - first;
        waiting = true;
        leaving.fetch(0);
#if EPILOGUE >= 7
        float scale[2] = {1.0f, 1.0f};
#if EPILOGUE == 8
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int row = first + lane / 4 + 8 * half;
            scale[half] = row < rows ? __ldg(row_scale + (u64)tile.batch * rows + row) : 0.0f;
        }
#endif
#pragma unroll
        for (int head = 0; head < COLUMNS / HEAD; head++) {
            const int begin = tile.column + head * HEAD, own = lane % 4 * 2;
#pragma unroll
            for (int i = head * (HEAD / 8); i < (head + 1) * (HEAD / 8); i++) {
                const int at = tile.column + i * 8 + own;
                float2 b = make_float2(0.0f, 0.0f);
                if (info.has_bias && at < columns) b = unpack(__ldg(reinterpret_cast<const u32*>(bias + at)));
                d[4 * i] = fmaf(d[4 * i], scale[0], b.x);
                d[4 * i + 1] = fmaf(d[4 * i + 1], scale[0], b.y);
                d[4 * i + 2] = fmaf(d[4 * i + 2], scale[1], b.x);
                d[4 * i + 3] = fmaf(d[4 * i + 3], scale[1], b.y);
            }
            const float epsilon = __uint_as_float((u32)info.epsilon);
#if EPILOGUE == 7
            const int kind = begin / HEAD / (int)info.heads;
            if (kind < 2) norm_head(d, head * (HEAD / 8), (kind == 0 ? gate : residual) + own, nullptr, epsilon);
#else
            norm_head(d, head * (HEAD / 8), gate + own, residual + own, epsilon);
#endif
        }
#endif
#pragma unroll
        for (int i = 0; i < COLUMNS / 8; i++) {
            const int at = tile.column + i * 8 + lane % 4 * 2;
            float2 b = make_float2(0.0f, 0.0f);
            if (EPILOGUE < 7 && info.has_bias && at < columns) b = unpack(__ldg(reinterpret_cast<const u32*>(bias + at)));
            packed[2 * i] = pack(activate<EPILOGUE>(d[4 * i] + b.x), activate<EPILOGUE>(d[4 * i + 1] + b.y));
            packed[2 * i + 1] = pack(activate<EPILOGUE>(d[4 * i + 2] + b.x), activate<EPILOGUE>(d[4 * i + 3] + b.y));
        }
    }
    if (waiting) {
#pragma unroll
        for (int part = 0; part < PARTS; part++) leaving.send(packed + part * PART / 4, part);
    }
}
