// Sets of a cubic grid's samples, a bit each: rows along z, each of `words` words, bits past a row's end 0. kernels::Mask is the
// definition of right.
//
// A set's samples have an order: the grid is cut into `cells` cells along each axis, at places that a table says; samples come cell by
// cell, and within a cell x slowest. So a row has as many pieces as there are cells along z, and their numbers rise as their samples do.

// What a kernel is told of the cut: `[3 * samples]` the cell of each place along x, y and z; `[3 * (cells + 1)]` the first place of
// each; `[cells³ + 1]` the first piece of each cell.
struct Cut {
    const u32* table;
    int samples, cells;

    __device__ __forceinline__ int cell(int axis, int place) const { return table[axis * samples + place]; }
    __device__ __forceinline__ int first(int axis, int cell) const { return table[3 * samples + axis * (cells + 1) + cell]; }
    __device__ __forceinline__ u32 first_piece(int cell) const { return table[3 * (samples + cells + 1) + cell]; }

    // The number of a row's piece, and of its cell.
    __device__ __forceinline__ u32 piece(int x, int y, int along_z, int& cell_of) const {
        const int cx = cell(0, x), cy = cell(1, y), low = first(1, cy);
        cell_of = (cx * cells + cy) * cells + along_z;
        return first_piece(cell_of) + (x - first(0, cx)) * (first(1, cy + 1) - low) + (y - low);
    }
};

// Bits of a word that lie from `begin` to before `end`, both counted from the row's start.
__device__ __forceinline__ u32 bits_within(int word, int begin, int end) {
    const int low = max(begin - 32 * word, 0), high = min(end - 32 * word, 32);
    if (low >= high) return 0;
    return (high == 32 ? ~0u : (1u << high) - 1) & ~((1u << low) - 1);
}

// Bits at every second place.
__device__ __forceinline__ u32 apart(u32 bits) {
    bits = (bits | bits << 8) & 0x00ff00ffu;
    bits = (bits | bits << 4) & 0x0f0f0f0fu;
    bits = (bits | bits << 2) & 0x33333333u;
    return (bits | bits << 1) & 0x55555555u;
}

struct WordsInfo {
    // What to do, in the order of kernels::sets::SetOperation; how far a dilation reaches; samples and words of the first set and of the result.
    u64 operation, reach, samples, words, out_samples, out_words;
};

// A word of a row with its bits' neighbours.
__device__ __forceinline__ u32 widened(const u32* row, int word, int words, int reach) {
    const u32 own = row[word], before = word > 0 ? row[word - 1] : 0, behind = word + 1 < words ? row[word + 1] : 0;
    u32 all = own;
    for (int i = 1; i <= reach; i++) all |= own << i | own >> i | before >> (32 - i) | behind << (32 - i);
    return all;
}

extern "C" __global__ void __launch_bounds__(256)
    set_words(const u32* __restrict__ set, const u32* __restrict__ other, u32* __restrict__ out, const __grid_constant__ WordsInfo info) {
    const int n = (int)info.samples, words = (int)info.words, out_n = (int)info.out_samples, out_words = (int)info.out_words;
    const u64 i = (u64)blockIdx.x * 256 + threadIdx.x;
    if (i >= (u64)out_n * out_n * out_words) return;
    const int word = (int)(i % out_words), y = (int)(i / out_words % out_n), x = (int)(i / out_words / out_n);
    const auto row = [&](int x, int y) { return set + ((u64)x * n + y) * words; };
    u32 bits = 0;
    switch ((int)info.operation) {
    case 0: bits = ~set[i]; break;
    case 1: bits = set[i] & other[i]; break;
    case 2: bits = set[i] & ~other[i]; break;
    case 3: bits = set[i] | other[i]; break;
    case 4: {
        const int reach = (int)info.reach;
        for (int a = max(x - reach, 0); a <= min(x + reach, n - 1); a++) {
            for (int b = max(y - reach, 0); b <= min(y + reach, n - 1); b++) bits |= widened(row(a, b), word, words, reach);
        }
        break;
    }
    case 5:
        bits = widened(row(x, y), word, words, 1);
        if (x > 0) bits |= row(x - 1, y)[word];
        if (x + 1 < n) bits |= row(x + 1, y)[word];
        if (y > 0) bits |= row(x, y - 1)[word];
        if (y + 1 < n) bits |= row(x, y + 1)[word];
        break;
    default: {
        // 6: every second sample. 7: every sample whose coarse one is in the set.
        const bool repeated = info.operation == 7;
        if (repeated || (x % 2 == 0 && y % 2 == 0)) {
            const u32 from = word / 2 < words ? row(min(x / 2, n - 1), min(y / 2, n - 1))[word / 2] : 0;
            bits = apart(word % 2 ? from >> 16 : from & 0xffffu);
            if (repeated) bits |= bits << 1;
        }
    }
    }
    out[i] = bits & bits_within(word, 0, out_n);
}

struct BoundsInfo {
    u64 samples, words;
};

// The least and the greatest place along each axis: `[6]`, which holds greater and lesser ones before.
extern "C" __global__ void __launch_bounds__(256)
    set_bounds(const u32* __restrict__ set, int* __restrict__ bounds, const __grid_constant__ BoundsInfo info) {
    const int n = (int)info.samples, words = (int)info.words;
    const int row = blockIdx.x * 256 + threadIdx.x;
    int low = 0x7fffffff, high = -1;
    if (row < n * n) {
        for (int word = 0; word < words; word++) {
            const u32 bits = set[(u64)row * words + word];
            if (bits == 0) continue;
            low = min(low, 32 * word + __ffs(bits) - 1);
            high = 32 * word + 31 - __clz(bits);
        }
    }
    const bool any = high >= 0;
    const int least[3] = {any ? row / n : 0x7fffffff, any ? row % n : 0x7fffffff, low};
    const int greatest[3] = {any ? row / n : -1, any ? row % n : -1, high};
#pragma unroll
    for (int axis = 0; axis < 3; axis++) {
        const int a = __reduce_min_sync(~0u, least[axis]), b = __reduce_max_sync(~0u, greatest[axis]);
        if (threadIdx.x % 32 == 0 && b >= 0) {
            atomicMin(bounds + axis, a);
            atomicMax(bounds + 3 + axis, b);
        }
    }
}

struct CountInfo {
    u64 samples, words, cells;
};

// How many samples each row's piece has, by the piece's number.
extern "C" __global__ void __launch_bounds__(256) set_count(const u32* __restrict__ set, const u32* __restrict__ table,
                                                            u32* __restrict__ counts, const __grid_constant__ CountInfo info) {
    const int n = (int)info.samples, words = (int)info.words, cells = (int)info.cells;
    const int i = blockIdx.x * 256 + threadIdx.x;
    if (i >= n * n * cells) return;
    const Cut cut = {table, n, cells};
    const int along_z = i % cells, row = i / cells;
    const int begin = cut.first(2, along_z), end = cut.first(2, along_z + 1);
    u32 count = 0;
    for (int word = begin / 32; 32 * word < end; word++) count += __popc(set[(u64)row * words + word] & bits_within(word, begin, end));
    int cell;
    counts[cut.piece(row / n, row % n, along_z, cell)] = count;
}

struct ScanInfo {
    // 0: each block's sum. 1: of the sums, and the whole behind the numbers. 2: each block's numbers.
    u64 phase, count, blocks;
};

#define OF_A_BLOCK 4096

// What comes before a thread's number in its block of 256, and the block's sum.
__device__ __forceinline__ u32 before_in_block(u32 own, u32& sum) {
    __shared__ u32 sums[9];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u32 up_to = own;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
        const u32 other = __shfl_up_sync(~0u, up_to, step);
        if (lane >= step) up_to += other;
    }
    __syncthreads();
    if (lane == 31) sums[warp] = up_to;
    __syncthreads();
    if (threadIdx.x == 0) {
        u32 all = 0;
        for (int i = 0; i < 8; i++) {
            const u32 of_warp = sums[i];
            sums[i] = all;
            all += of_warp;
        }
        sums[8] = all;
    }
    __syncthreads();
    sum = sums[8];
    return sums[warp] + up_to - own;
}

// Numbers to what comes before each, in place, in three calls; the last of `[count + 1]` becomes the sum.
extern "C" __global__ void __launch_bounds__(256)
    set_scan(u32* __restrict__ numbers, u32* __restrict__ sums, const __grid_constant__ ScanInfo info) {
    const u32 count = (u32)info.count;
    u32 sum;
    if (info.phase == 1) {
        u32 before = 0;
        for (u32 first = 0; first < (u32)info.blocks; first += 256) {
            const u32 i = first + threadIdx.x;
            const u32 own = i < (u32)info.blocks ? sums[i] : 0;
            const u32 at = before + before_in_block(own, sum);
            if (i < (u32)info.blocks) sums[i] = at;
            before += sum;
        }
        if (threadIdx.x == 0) numbers[count] = before;
        return;
    }
    // Sixteen numbers behind one another a thread.
    const u32 first = blockIdx.x * OF_A_BLOCK + threadIdx.x * 16;
    u32 own[16], all = 0;
#pragma unroll
    for (u32 i = 0; i < 16; i++) {
        own[i] = first + i < count ? numbers[first + i] : 0;
        all += own[i];
    }
    u32 at = before_in_block(all, sum);
    if (info.phase == 0) {
        if (threadIdx.x == 0) sums[blockIdx.x] = sum;
        return;
    }
    at += sums[blockIdx.x];
#pragma unroll
    for (u32 i = 0; i < 16; i++) {
        if (first + i < count) numbers[first + i] = at;
        at += own[i];
    }
}

struct StartsInfo {
    u64 samples, cells;
};

// Where each cell's samples begin, and behind them how many there are: `[cells³ + 1]`.
extern "C" __global__ void __launch_bounds__(256) set_starts(const u32* __restrict__ table, const u32* __restrict__ places,
                                                             u32* __restrict__ starts, const __grid_constant__ StartsInfo info) {
    const int i = threadIdx.x, cells = (int)info.cells;
    const Cut cut = {table, (int)info.samples, cells};
    if (i <= cells * cells * cells) starts[i] = places[cut.first_piece(i)];
}

struct IndicesInfo {
    u64 samples, words, cells;
    // Numbers, in the set's order, of the samples that are wanted; of each cell every so many, from its first on.
    u64 begin, end, stride;
    // How many there are.
    u64 count;
};

// Indices of samples, a warp a row. Of a cell's samples the first that is wanted goes where `to` says, less `begin`.
extern "C" __global__ void __launch_bounds__(256)
    set_indices(const u32* __restrict__ set, const u32* __restrict__ table, const u32* __restrict__ places, const u32* __restrict__ to,
                u32* __restrict__ indices, const __grid_constant__ IndicesInfo info) {
    const int n = (int)info.samples, words = (int)info.words, cells = (int)info.cells, lane = threadIdx.x % 32;
    const u32 begin = (u32)info.begin, end = (u32)info.end, stride = (u32)info.stride;
    const int row = blockIdx.x * 8 + threadIdx.x / 32;
    if (row >= n * n) return;
    const Cut cut = {table, n, cells};
    for (int along_z = 0; along_z < cells; along_z++) {
        int cell;
        const u32 piece = cut.piece(row / n, row % n, along_z, cell);
        u32 at = places[piece];
        const u32 behind = places[piece + 1];
        if (at == behind || at >= end || behind <= begin) continue;
        const u32 first = places[cut.first_piece(cell)], first_to = to[cell] - begin;
        const int low = cut.first(2, along_z), high = cut.first(2, along_z + 1);
        for (int word = low / 32; 32 * word < high; word++) {
            const u32 bits = set[(u64)row * words + word] & bits_within(word, low, high);
            const u32 own = at + __popc(bits & ((1u << lane) - 1));
            const u32 within = own - first;
            // Where nobody wrote where a cell begins, since the card's memory is full, nothing is written either.
            const u32 to_place = first_to + within / stride;
            if ((bits >> lane & 1) && own >= begin && own < end && within % stride == 0 && to_place < (u32)info.count) {
                indices[to_place] = (u32)row * n + 32 * word + lane;
            }
            at += __popc(bits);
        }
    }
}

struct PointsInfo {
    u64 samples, count;
};

// Samples' coordinates, by tables of x, y and z, `[3, samples]`.
extern "C" __global__ void __launch_bounds__(256) sample_points(const u32* __restrict__ indices, const float* __restrict__ axes,
                                                                float* __restrict__ points, const __grid_constant__ PointsInfo info) {
    const u32 i = blockIdx.x * 256 + threadIdx.x, n = (u32)info.samples;
    if (i >= (u32)info.count) return;
    const u32 index = indices[i], row = index / n;
    // Indices that nobody wrote, since the card's memory is full, reach no memory of others.
    if (row >= n * n) return;
    points[3 * (u64)i] = axes[row / n];
    points[3 * (u64)i + 1] = axes[n + row % n];
    points[3 * (u64)i + 2] = axes[2 * n + index % n];
}

struct ValuesInfo {
    u64 samples, words, count;
    // float32's bits: the level, and how near to it is near.
    u64 level, near;
    // Whether samples on the level and near it are wanted too.
    u64 all;
};

#ifdef WIDE
typedef float value;
__device__ __forceinline__ float wide_value(float x) { return x; }
#else
typedef elem value;
__device__ __forceinline__ float wide_value(elem x) { return wide(x); }
#endif

// Adds samples to sets by their values; says where one is no finite number.
extern "C" __global__ void __launch_bounds__(256)
    set_values(const u32* __restrict__ indices, const value* __restrict__ values, u32* __restrict__ inside, u32* __restrict__ on,
               u32* __restrict__ near, u32* __restrict__ broken, const __grid_constant__ ValuesInfo info) {
    const u32 i = blockIdx.x * 256 + threadIdx.x, n = (u32)info.samples;
    if (i >= (u32)info.count) return;
    const float x = wide_value(values[i]), level = __uint_as_float((u32)info.level);
    const u32 index = indices[i], z = index % n, bit = 1u << (z % 32);
    const u64 word = (u64)(index / n) * info.words + z / 32;
    if (index / n >= n * n) return;
    if (x >= level) atomicOr(inside + word, bit);
    if (info.all) {
        if (x - level == 0.0f) atomicOr(on + word, bit);
        if (fabsf(x - level) < __uint_as_float((u32)info.near)) atomicOr(near + word, bit);
    }
    if ((__float_as_uint(x) & 0x7f800000u) == 0x7f800000u) *broken = 1;
}
