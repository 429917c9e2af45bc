// softmax(q · kᵀ · scale) · v for heads of up to 64 channels, on Hopper: one warpgroup feeds shared memory through the
// copy engine, the others multiply. While a warpgroup's product with the values runs, it computes the next scores and
// their powers (Shah et al. 2024, FlashAttention-3).
//
// GROUPS: multiplying warpgroups, 64 queries each. STAGES: tiles of keys and values in flight. POINT_GROUPS: queries are of so many groups
// at the most, which lie behind one another and look each at keys and values of its own.
#ifndef GROUPS
#define GROUPS 3
#endif
#ifndef STAGES
#define STAGES 2
#endif
#ifndef IN_TURN
#define IN_TURN 1
#endif
#define KEYS 128
// Together what the block was launched with, or the increase waits for ever.
#if GROUPS == 3
#define PRODUCER_REGISTERS 32
#define CONSUMER_REGISTERS 160
#else
#define PRODUCER_REGISTERS 24
#define CONSUMER_REGISTERS 240
#endif
#define QUERIES (64 * GROUPS)
#define TILE_BYTES (KEYS * 128)

struct AttentionInfo {
    // Then elements from a row of the result to the next.
    u64 queries, keys, heads, width, scale, out_row;
#ifdef POINT_GROUPS
    // The first query of each group, and the one behind the last.
    u64 first[POINT_GROUPS + 1];
#endif
};

struct Softmax {
    float most[2], sum[2];
};

// Scores to powers of two against the running maximum; gives the factors that what was summed before has to take.
__device__ __forceinline__ void powers(float (&s)[64], Softmax& state, float (&factor)[2], float scale) {
#pragma unroll
    for (int row = 0; row < 2; row++) {
        float most = state.most[row];
#pragma unroll
        for (int i = 0; i < 16; i++) most = fmaxf(most, fmaxf(s[4 * i + 2 * row], s[4 * i + 2 * row + 1]));
        most = fmaxf(most, __shfl_xor_sync(~0u, most, 1));
        most = fmaxf(most, __shfl_xor_sync(~0u, most, 2));
        factor[row] = exp2_fast((state.most[row] - most) * scale);
        state.most[row] = most;
        float offset = most * scale;
        float sum = 0.0f;
#pragma unroll
        for (int i = 0; i < 16; i++) {
            float a = exp2_fast(fmaf(s[4 * i + 2 * row], scale, -offset));
            float b = exp2_fast(fmaf(s[4 * i + 2 * row + 1], scale, -offset));
            s[4 * i + 2 * row] = a;
            s[4 * i + 2 * row + 1] = b;
            sum += a + b;
        }
        state.sum[row] = fmaf(state.sum[row], factor[row], sum);
    }
}

__device__ __forceinline__ void to_operand(const float (&s)[64], u32 (&p)[8][4]) {
#pragma unroll
    for (int k = 0; k < 8; k++) {
#pragma unroll
        for (int i = 0; i < 4; i++) p[k][i] = pack(s[8 * k + 2 * i], s[8 * k + 2 * i + 1]);
    }
}

__device__ __forceinline__ void scores(float (&s)[64], u64 q, u64 k) {
#pragma unroll
    for (int i = 0; i < 4; i++) product_128(s, q + 2 * i, k + 2 * i, i);
}

__device__ __forceinline__ void weigh(float (&o)[32], const u32 (&p)[8][4], u64 v, int add) {
#pragma unroll
    for (int k = 0; k < 8; k++) product_64_registers(o, p[k], v + 128 * k, k > 0 || add);
}

extern "C" __global__ void __launch_bounds__(128 * (GROUPS + 1), 1)
    attention(const __grid_constant__ TensorMap q_map, const __grid_constant__ TensorMap k_map,
              const __grid_constant__ TensorMap v_map, const void*, const void*, const void*, const void*, const void*,
              const void*, elem* __restrict__ out, const __grid_constant__ AttentionInfo info) {
    extern __shared__ unsigned char raw[];
    const u32 base = (shared_address(raw) + 1023) & ~1023u;
    const u32 q_at = base, k_at = q_at + QUERIES * 128, v_at = k_at + STAGES * TILE_BYTES;
    const u32 barriers = v_at + STAGES * TILE_BYTES;
    const u32 q_full = barriers, k_full = barriers + 8, k_empty = k_full + 8 * STAGES, v_full = k_empty + 8 * STAGES,
              v_empty = v_full + 8 * STAGES;
    const int group = threadIdx.x / 128;
#ifdef POINT_GROUPS
    const int of_keys = blockIdx.z, batch = 0, first = (int)info.first[of_keys] + blockIdx.x * QUERIES;
    const int queries = (int)info.first[of_keys + 1];
    if (first >= queries) return;
#else
    const int of_keys = blockIdx.z, batch = of_keys, first = blockIdx.x * QUERIES, queries = (int)info.queries;
#endif
    const int head = blockIdx.y, keys = (int)info.keys, tiles = (keys + KEYS - 1) / KEYS;

    if (threadIdx.x == 0) {
        barrier_init(q_full, 1);
        for (int i = 0; i < STAGES; i++) {
            barrier_init(k_full + 8 * i, 1);
            barrier_init(v_full + 8 * i, 1);
            barrier_init(k_empty + 8 * i, 4 * GROUPS);
            barrier_init(v_empty + 8 * i, 4 * GROUPS);
        }
        barriers_visible();
    }
    __syncthreads();

    // Tiles are taken from the last, so that the one with a tail comes first and the others need no mask.
    if (group == 0) {
        FEWER_REGISTERS(PRODUCER_REGISTERS);
        if (threadIdx.x == 0) {
            barrier_expect(q_full, QUERIES * 128);
            copy_4d(q_at, &q_map, q_full, 0, first, head, batch);
            for (int i = 0; i < tiles; i++) {
                const int stage = i % STAGES, round = i / STAGES, key = (tiles - 1 - i) * KEYS;
                if (round > 0) barrier_wait(k_empty + 8 * stage, (round - 1) & 1);
                barrier_expect(k_full + 8 * stage, TILE_BYTES);
                copy_4d(k_at + stage * TILE_BYTES, &k_map, k_full + 8 * stage, 0, key, head, of_keys);
                if (round > 0) barrier_wait(v_empty + 8 * stage, (round - 1) & 1);
                barrier_expect(v_full + 8 * stage, TILE_BYTES);
                copy_4d(v_at + stage * TILE_BYTES, &v_map, v_full + 8 * stage, 0, key, head, of_keys);
            }
        }
        return;
    }
    MORE_REGISTERS(CONSUMER_REGISTERS);
    const int own = group - 1, lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
    const float scale = __uint_as_float((u32)info.scale);
    float s[64], o[32], factor[2];
    u32 p[8][4];
    Softmax state = {{-1e30f, -1e30f}, {0.0f, 0.0f}};
    const u64 q = descriptor(q_at + own * 64 * 128);
#define TURN(g) (1 + (g))
#if IN_TURN
    // Warpgroups take turns at handing products to the tensor cores; the others compute powers meanwhile.
    if (own == GROUPS - 1) named_arrive(TURN(0), 256);
#endif
    barrier_wait(q_full, 0);
    barrier_wait(k_full, 0);
#if IN_TURN
    named_sync(TURN(own), 256);
#endif
    product_fence();
    scores(s, q, descriptor(k_at));
    product_commit();
#if IN_TURN
    named_arrive(TURN((own + 1) % GROUPS), 256);
#endif
    product_wait<0>();
    hold(s);
    if (lane == 0) barrier_arrive(k_empty);
    const int tail = keys - (tiles - 1) * KEYS;
    if (tail < KEYS) {
#pragma unroll
        for (int i = 0; i < 64; i++) {
            if (i / 4 * 8 + lane % 4 * 2 + (i & 1) >= tail) s[i] = -1e30f;
        }
    }
    powers(s, state, factor, scale);
    to_operand(s, p);
    for (int i = 1; i < tiles; i++) {
        const int stage = i % STAGES, before = (i - 1) % STAGES;
        barrier_wait(k_full + 8 * stage, i / STAGES & 1);
#if IN_TURN
        named_sync(TURN(own), 256);
#endif
        product_fence();
        scores(s, q, descriptor(k_at + stage * TILE_BYTES));
        product_commit();
        barrier_wait(v_full + 8 * before, (i - 1) / STAGES & 1);
        product_fence();
        weigh(o, p, descriptor(v_at + before * TILE_BYTES), i > 1);
        product_commit();
#if IN_TURN
        named_arrive(TURN((own + 1) % GROUPS), 256);
#endif
        product_wait<1>();
        hold(s);
        if (lane == 0) barrier_arrive(k_empty + 8 * stage);
        powers(s, state, factor, scale);
        product_wait<0>();
        hold(o);
        if (lane == 0) barrier_arrive(v_empty + 8 * before);
        to_operand(s, p);
#pragma unroll
        for (int j = 0; j < 32; j++) o[j] *= factor[j / 2 & 1];
    }
    const int last = (tiles - 1) % STAGES;
    barrier_wait(v_full + 8 * last, (tiles - 1) / STAGES & 1);
    product_fence();
    weigh(o, p, descriptor(v_at + last * TILE_BYTES), tiles > 1);
    product_commit();
    product_wait<0>();
    hold(o);
#if IN_TURN
    if (own == 0) named_sync(TURN(0), 256);
#endif

    float inverse[2];
#pragma unroll
    for (int row = 0; row < 2; row++) {
        float sum = state.sum[row];
        sum += __shfl_xor_sync(~0u, sum, 1);
        sum += __shfl_xor_sync(~0u, sum, 2);
        inverse[row] = __fdividef(1.0f, sum);
    }
    // Through the queries' own shared memory to whole rows. Rows of 128 bytes, pieces of 16 exchanged against conflicts.
    named_sync(TURN(GROUPS) + own, 128);
    const u32 staging = q_at + (own * 64 + warp * 16) * 128;
#pragma unroll
    for (int i = 0; i < 16; i++) {
        const int row = lane / 4 + (i & 1) * 8, piece = (i / 2) ^ (row & 7);
        const u32 both = pack(o[2 * i] * inverse[i & 1], o[2 * i + 1] * inverse[i & 1]);
        asm volatile("st.shared.b32 [%0], %1;" ::"r"(staging + row * 128 + piece * 16 + lane % 4 * 4), "r"(both) : "memory");
    }
    __syncwarp();
    const int width = (int)info.width, piece = lane % 8;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int row = lane / 8 + 4 * i, query = first + own * 64 + warp * 16 + row;
        uint4 values;
        asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(values.x), "=r"(values.y), "=r"(values.z), "=r"(values.w)
                     : "r"(staging + row * 128 + (piece ^ (row & 7)) * 16));
        if (query < queries && piece * 8 < width) {
            *reinterpret_cast<uint4*>(out + ((u64)batch * queries + query) * info.out_row + head * width + piece * 8) = values;
        }
    }
}
