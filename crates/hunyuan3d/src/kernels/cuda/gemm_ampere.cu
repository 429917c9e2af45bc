// x · wᵀ with what follows it, for sm_80 and later: tiles of 128 × 128 by eight warps, four pieces of depth in flight.
//
// EPILOGUE: kernels::Epilogue's number, or 5: out = residual + gate · (x · wᵀ + bias), 6: the same without a gate.
#ifndef EPILOGUE
#define EPILOGUE 0
#endif
#define TILE 128
#define DEPTH 32
#define STAGES 4
#define X_BYTES (TILE * DEPTH * 2)
#define STAGE_BYTES (2 * X_BYTES)

struct GemmInfo {
    // As for Hopper; then elements from a batch item and row of x, and from a row of w, to the next.
    u64 batches, rows, columns, depth, row_tiles, gate_stride, has_bias, x_batch, x_row, w_row;
};

// Rows of 64 bytes, pieces of 16 exchanged so that a column of pieces meets every bank.
__device__ __forceinline__ u32 piece_at(u32 base, int row, int piece) {
    return base + row * 64 + ((piece ^ (row >> 1 & 3)) << 4);
}

__device__ __forceinline__ void fetch(u32 to, const elem* from, u64 stride, int first, int count, int column, int depth) {
#pragma unroll
    for (int i = 0; i < TILE * 4 / 256; i++) {
        const int row = (threadIdx.x + i * 256) / 4, piece = threadIdx.x % 4, at = column + piece * 8;
        const bool inside = first + row < count && at < depth;
        copy_16(piece_at(to, row, piece), inside ? from + (u64)(first + row) * stride + at : from, inside);
    }
}

extern "C" __global__ void __launch_bounds__(256, 2)
    gemm(const elem* __restrict__ x, const elem* __restrict__ w, const elem* __restrict__ bias, const elem* __restrict__ gate,
         const elem* residual, elem* out, const __grid_constant__ GemmInfo info) {
    extern __shared__ unsigned char raw[];
    const u32 base = (shared_address(raw) + 127) & ~127u;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const int columns = (int)info.columns, rows = (int)info.rows, depth = (int)info.depth;
    const int column_tiles = (columns + TILE - 1) / TILE, all_row_tiles = (int)(info.batches * info.row_tiles);
    // Bands of rows, so that what is read at a time stays in the cache.
    const int band = 16, in_band = band * column_tiles, begin = blockIdx.x / in_band * band;
    const int height = min(band, all_row_tiles - begin), rest = blockIdx.x % in_band;
    const int row_tile = begin + rest % height, column = rest / height * TILE;
    const int batch = row_tile / (int)info.row_tiles, row = row_tile % (int)info.row_tiles * TILE;
    const int steps = (depth + DEPTH - 1) / DEPTH;
    x += batch * info.x_batch;

    auto fetch_step = [&](int step) {
        if (step < steps) {
            const u32 to = base + step % STAGES * STAGE_BYTES;
            fetch(to, x, info.x_row, row, rows, step * DEPTH, depth);
            fetch(to + X_BYTES, w, info.w_row, column, columns, step * DEPTH, depth);
        }
        copy_commit();
    };
#pragma unroll
    for (int step = 0; step < STAGES - 1; step++) fetch_step(step);

    const int warp_row = warp / 4 * 64, warp_column = warp % 4 * 32;
    float d[4][4][4];
#pragma unroll
    for (int i = 0; i < 64; i++) d[i / 16][i / 4 % 4][i % 4] = 0.0f;
    for (int step = 0; step < steps; step++) {
        copy_wait<STAGES - 2>();
        __syncthreads();
        fetch_step(step + STAGES - 1);
        const u32 x_now = base + step % STAGES * STAGE_BYTES, w_now = x_now + X_BYTES;
#pragma unroll
        for (int k = 0; k < 2; k++) {
            u32 a[4][4], b[2][4];
#pragma unroll
            for (int i = 0; i < 4; i++) load_matrices(a[i], piece_at(x_now, warp_row + i * 16 + lane % 16, 2 * k + lane / 16));
#pragma unroll
            for (int j = 0; j < 2; j++) {
                load_matrices(b[j], piece_at(w_now, warp_column + j * 16 + lane % 8 + lane / 16 * 8, 2 * k + lane / 8 % 2));
            }
#pragma unroll
            for (int i = 0; i < 4; i++) {
#pragma unroll
                for (int j = 0; j < 4; j++) product(d[i][j], a[i], b[j / 2][2 * (j % 2)], b[j / 2][2 * (j % 2) + 1]);
            }
        }
    }
    copy_wait<0>();
    __syncthreads();

    // Through shared memory to whole pieces of rows, each warp its own; staged rows are 80 bytes.
    const u32 staging = base + warp * 16 * 80;
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int at = column + warp_column + j * 8 + lane % 4 * 2;
            float2 b = make_float2(0.0f, 0.0f);
            if (info.has_bias && at < columns) b = unpack(__ldg(reinterpret_cast<const u32*>(bias + at)));
            const float* v = d[i][j];
            const u32 to = staging + lane / 4 * 80 + j * 16 + lane % 4 * 4;
            const u32 upper = pack(activate<EPILOGUE>(v[0] + b.x), activate<EPILOGUE>(v[1] + b.y));
            const u32 lower = pack(activate<EPILOGUE>(v[2] + b.x), activate<EPILOGUE>(v[3] + b.y));
            asm volatile("st.shared.b32 [%0], %1;" ::"r"(to), "r"(upper) : "memory");
            asm volatile("st.shared.b32 [%0], %1;" ::"r"(to + 8 * 80), "r"(lower) : "memory");
        }
        __syncwarp();
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int line = lane / 4 + 8 * half, at_row = row + warp_row + i * 16 + line;
            const int at = column + warp_column + lane % 4 * 8;
            uint4 values;
            asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                         : "=r"(values.x), "=r"(values.y), "=r"(values.z), "=r"(values.w)
                         : "r"(staging + line * 80 + lane % 4 * 16));
            if (at_row < rows && at < columns) {
                const u64 place = ((u64)batch * rows + at_row) * columns + at;
#if EPILOGUE >= 5
                Eight old, y, g;
                y.set(values);
                old.load(residual + place);
#if EPILOGUE == 5
                g.load(gate + batch * info.gate_stride + at);
#endif
#pragma unroll
                for (int j = 0; j < 8; j++) old.v[j] = EPILOGUE == 5 ? fmaf(g.v[j], y.v[j], old.v[j]) : old.v[j] + y.v[j];
                values = old.raw();
#endif
                *reinterpret_cast<uint4*>(out + place) = values;
            }
        }
        __syncwarp();
    }
}
