// softmax(q · kᵀ · scale) · v for heads of up to 64 channels, for sm_80 and later: eight warps of 16 queries each, keys and
// values 64 at a time, the next ones on their way meanwhile (Dao 2023, FlashAttention-2). POINT_GROUPS: queries are of so many groups at the
// most, which lie behind one another and look each at keys and values of its own.
#define KEYS 64
#define QUERIES 128
#define TILE_BYTES (KEYS * 128)

struct AttentionInfo {
    // Then elements from a row of the result to the next.
    u64 queries, keys, heads, width, scale, out_row;
    // Elements from a batch item, head and token to the next, of q, k and v.
    u64 q_strides[3], k_strides[3], v_strides[3];
#ifdef POINT_GROUPS
    // The first query of each group, and the one behind the last.
    u64 first[POINT_GROUPS + 1];
#endif
};

// Where 16 bytes of a 128-byte row lie: exchanged, so that a column of pieces meets every bank.
__device__ __forceinline__ u32 piece_at(u32 base, int row, int piece) { return base + row * 128 + ((piece ^ (row & 7)) << 4); }

// Rows of a head, those past the end and channels past the width as zeros.
template <int ROWS>
__device__ __forceinline__ void fetch(u32 to, const elem* from, u64 stride, int first, int count, int width) {
#pragma unroll
    for (int i = 0; i < ROWS * 8 / 256; i++) {
        const int row = (threadIdx.x + i * 256) / 8, piece = threadIdx.x % 8;
        const bool inside = first + row < count && piece * 8 < width;
        copy_16(piece_at(to, row, piece), inside ? from + (u64)(first + row) * stride + piece * 8 : from, inside);
    }
}

extern "C" __global__ void __launch_bounds__(256, 2)
    attention(const elem* __restrict__ q, const elem* __restrict__ k, const elem* __restrict__ v, elem* __restrict__ out,
              const __grid_constant__ AttentionInfo info) {
    extern __shared__ unsigned char raw[];
    const u32 base = (shared_address(raw) + 127) & ~127u;
    const u32 q_at = base, k_at = base + QUERIES * 128, v_at = k_at + 2 * TILE_BYTES;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#ifdef POINT_GROUPS
    // Kept where they take no registers until they are wanted again.
    __shared__ int of_block[2];
    const int of_keys = blockIdx.z, batch = 0;
    int first = (int)info.first[of_keys] + blockIdx.x * QUERIES, queries = (int)info.first[of_keys + 1];
    if (first >= queries) return;
    if (threadIdx.x == 0) {
        of_block[0] = first;
        of_block[1] = queries;
    }
#else
    const int of_keys = blockIdx.z, batch = of_keys, first = blockIdx.x * QUERIES, queries = (int)info.queries;
#endif
    const int head = blockIdx.y, keys = (int)info.keys, width = (int)info.width;
    q += batch * info.q_strides[0] + head * info.q_strides[1];
    k += of_keys * info.k_strides[0] + head * info.k_strides[1];
    v += of_keys * info.v_strides[0] + head * info.v_strides[1];
    fetch<QUERIES>(q_at, q, info.q_strides[2], first, queries, width);
    fetch<KEYS>(k_at, k, info.k_strides[2], 0, keys, width);
    fetch<KEYS>(v_at, v, info.v_strides[2], 0, keys, width);
    copy_commit();
    copy_wait<0>();
    __syncthreads();

    u32 a[4][4];
#pragma unroll
    for (int i = 0; i < 4; i++) load_matrices(a[i], piece_at(q_at, warp * 16 + lane % 16, 2 * i + lane / 16));
    const float scale = __uint_as_float((u32)info.scale);
    float o[32], most[2] = {-1e30f, -1e30f}, sum[2] = {0.0f, 0.0f};
#pragma unroll
    for (int i = 0; i < 32; i++) o[i] = 0.0f;

    for (int begin = 0; begin < keys; begin += KEYS) {
        const int odd = begin / KEYS % 2, next = begin + KEYS;
        const u32 k_now = k_at + odd * TILE_BYTES, v_now = v_at + odd * TILE_BYTES;
        if (next < keys) {
            fetch<KEYS>(k_at + (1 - odd) * TILE_BYTES, k, info.k_strides[2], next, keys, width);
            fetch<KEYS>(v_at + (1 - odd) * TILE_BYTES, v, info.v_strides[2], next, keys, width);
            copy_commit();
        }
        float s[32];
#pragma unroll
        for (int i = 0; i < 32; i++) s[i] = 0.0f;
#pragma unroll
        for (int pair = 0; pair < 4; pair++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                u32 b[4];
                load_matrices(b, piece_at(k_now, pair * 16 + lane % 8 + lane / 16 * 8, 2 * i + lane / 8 % 2));
                product(s + pair * 8, a[i], b[0], b[1]);
                product(s + pair * 8 + 4, a[i], b[2], b[3]);
            }
        }
        const int tail = keys - begin;
        if (tail < KEYS) {
#pragma unroll
            for (int i = 0; i < 32; i++) {
                if (i / 4 * 8 + lane % 4 * 2 + (i & 1) >= tail) s[i] = -1e30f;
            }
        }
#pragma unroll
        for (int row = 0; row < 2; row++) {
            float now = most[row];
#pragma unroll
            for (int i = 0; i < 8; i++) now = fmaxf(now, fmaxf(s[4 * i + 2 * row], s[4 * i + 2 * row + 1]));
            now = fmaxf(now, __shfl_xor_sync(~0u, now, 1));
            now = fmaxf(now, __shfl_xor_sync(~0u, now, 2));
            const float factor = exp2_fast((most[row] - now) * scale), offset = now * scale;
            most[row] = now;
            float part = 0.0f;
#pragma unroll
            for (int i = 0; i < 8; i++) {
#pragma unroll
                for (int j = 0; j < 2; j++) {
                    float& x = s[4 * i + 2 * row + j];
                    x = exp2_fast(fmaf(x, scale, -offset));
                    part += x;
                    o[4 * i + 2 * row + j] *= factor;
                }
            }
            sum[row] = fmaf(sum[row], factor, part);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const u32 p[4] = {pack(s[8 * i], s[8 * i + 1]), pack(s[8 * i + 2], s[8 * i + 3]), pack(s[8 * i + 4], s[8 * i + 5]),
                              pack(s[8 * i + 6], s[8 * i + 7])};
#pragma unroll
            for (int pair = 0; pair < 4; pair++) {
                u32 b[4];
                load_matrices_turned(b, piece_at(v_now, i * 16 + lane % 16, 2 * pair + lane / 16));
                product(o + pair * 8, p, b[0], b[1]);
                product(o + pair * 8 + 4, p, b[2], b[3]);
            }
        }
        copy_wait<0>();
        __syncthreads();
    }

#pragma unroll
    for (int row = 0; row < 2; row++) {
        sum[row] += __shfl_xor_sync(~0u, sum[row], 1);
        sum[row] += __shfl_xor_sync(~0u, sum[row], 2);
        sum[row] = __fdividef(1.0f, sum[row]);
    }
#ifdef POINT_GROUPS
    first = of_block[0];
    queries = of_block[1];
#endif
    // Through the queries' shared memory, each warp its own rows, to whole rows.
#pragma unroll
    for (int i = 0; i < 16; i++) {
        const u32 to = piece_at(q_at, warp * 16 + lane / 4 + (i & 1) * 8, i / 2) + lane % 4 * 4;
        const u32 both = pack(o[2 * i] * sum[i & 1], o[2 * i + 1] * sum[i & 1]);
        asm volatile("st.shared.b32 [%0], %1;" ::"r"(to), "r"(both) : "memory");
    }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int row = warp * 16 + lane / 8 + 4 * i, piece = lane % 8, query = first + row;
        uint4 values;
        asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(values.x), "=r"(values.y), "=r"(values.z), "=r"(values.w)
                     : "r"(piece_at(q_at, row, piece)));
        if (query < queries && piece * 8 < width) {
            *reinterpret_cast<uint4*>(out + ((u64)batch * queries + query) * info.out_row + head * width + piece * 8) = values;
        }
    }
}
