// What both of Hopper's matrix products share: one warp feeds shared memory through the copy engine, the other warpgroups
// multiply 64 rows each; blocks take tile after tile.
//
// GROUPS: multiplying warpgroups. COLUMNS: of a block's tile, 128 or 192. STAGES: pieces of depth in flight.
#ifndef GROUPS
#define GROUPS 3
#endif
#ifndef COLUMNS
#define COLUMNS 128
#endif
#ifndef STAGES
#define STAGES 5
#endif
#ifndef EPILOGUE
#define EPILOGUE 0
#endif
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
    // to the next's; whether there is a bias.
    u64 batches, rows, columns, depth, row_tiles, gate_stride, has_bias;
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

// Brings the tiles of a block's share, piece by piece of depth; one thread does.
__device__ __forceinline__ void feed(const TensorMap* x_map, const TensorMap* w_map, u32 base, u32 full, u32 empty, int tiles,
                                     int steps, int row_tiles, int all_row_tiles, int column_tiles) {
    int stage = 0, round = 0;
    for (int index = blockIdx.x; index < tiles; index += gridDim.x) {
        const Tile tile = tile_at(index, row_tiles, all_row_tiles, column_tiles);
        for (int step = 0; step < steps; step++) {
            if (round > 0) barrier_wait(empty + 8 * stage, (round - 1) & 1);
            const u32 x_at = base + stage * STAGE_BYTES, barrier = full + 8 * stage;
            barrier_expect(barrier, STAGE_BYTES);
            copy_3d(x_at, x_map, barrier, step * DEPTH, tile.row, tile.batch);
            copy_2d(x_at + X_BYTES, w_map, barrier, step * DEPTH, tile.column);
            if (++stage == STAGES) stage = 0, round++;
        }
    }
}

// d += a piece of x · wᵀ, from one stage's shared memory.
__device__ __forceinline__ void multiply(float (&d)[COLUMNS / 2], u32 stage_at, int group, bool add) {
    const u64 x = descriptor(stage_at + group * 64 * 128), w = descriptor(stage_at + X_BYTES);
    product_fence();
#pragma unroll
    for (int i = 0; i < 4; i++) {
#if COLUMNS == 192
        product_192(d, x + 2 * i, w + 2 * i, add || i > 0);
#else
        product_128(d, x + 2 * i, w + 2 * i, add || i > 0);
#endif
    }
    product_commit();
}

