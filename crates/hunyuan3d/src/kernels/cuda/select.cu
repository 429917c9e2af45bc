// FlashVDM's key selection (Lai et al. 2025): of a head's keys, those whose scores against a group's queries are highest on
// average. A block takes a head of a group: the queries' mean, its scores with every key, a bitonic sort, and the chosen rows.

// Keys of a head at the most; a power of two.
#ifndef MOST
#define MOST 4096
#endif
// Groups of a launch at the most.
#ifndef GROUPS
#define GROUPS 16
#endif

struct SelectInfo {
    u64 keys, heads, width, count;
    // Elements from a head and a token to the next, of q, k and v.
    u64 q_strides[2], k_strides[2], v_strides[2];
    // The first query of each group, and the one behind the last.
    u64 first[GROUPS + 1];
};

extern "C" __global__ void __launch_bounds__(1024, 1)
    select_keys(const elem* __restrict__ q, const elem* __restrict__ k, const elem* __restrict__ v, elem* __restrict__ k_out,
                elem* __restrict__ v_out, const __grid_constant__ SelectInfo info) {
    extern __shared__ unsigned char raw[];
    u64* order = reinterpret_cast<u64*>(raw);
    float* parts = reinterpret_cast<float*>(raw);
    __shared__ float mean[64];
    const int thread = threadIdx.x, head = blockIdx.x, group = blockIdx.y, width = (int)info.width, keys = (int)info.keys;
    const int queries = (int)(info.first[group + 1] - info.first[group]);
    q += head * info.q_strides[0] + info.first[group] * info.q_strides[1];
    // `[groups, count, heads, width]`.
    k_out += group * info.count * info.heads * width;
    v_out += group * info.count * info.heads * width;
    k += head * info.k_strides[0];
    v += head * info.v_strides[0];

    const int channel = thread % 64;
    float sum = 0.0f;
    if (channel < width) {
        for (int i = thread / 64; i < queries; i += 16) sum += wide(q[i * info.q_strides[1] + channel]);
    }
    parts[thread] = sum;
    __syncthreads();
    if (thread < 64) {
        sum = 0.0f;
        for (int i = 0; i < 16; i++) sum += parts[i * 64 + thread];
        mean[thread] = sum / queries;
    }
    __syncthreads();

    // Scores as integers of the same order, the key's number behind; places without a key sort last.
    for (int key = thread; key < MOST; key += 1024) {
        u64 entry = 0;
        if (key < keys) {
            float score = 0.0f;
            for (int at = 0; at < width; at += 8) {
                Eight x;
                x.load(k + key * info.k_strides[1] + at);
#pragma unroll
                for (int j = 0; j < 8; j++) score = fmaf(x.v[j], mean[at + j], score);
            }
            const u32 bits = __float_as_uint(score);
            entry = (u64)(bits >> 31 ? ~bits : bits | 0x80000000u) << 32 | (u32)(MOST - key);
        }
        order[key] = entry;
    }
    for (int size = 2; size <= MOST; size *= 2) {
        for (int step = size / 2; step > 0; step /= 2) {
            __syncthreads();
            for (int i = thread; i < MOST / 2; i += 1024) {
                const int low = 2 * i - i % step, high = low + step;
                const bool falling = (low & size) == 0;
                const u64 a = order[low], b = order[high];
                if ((a < b) == falling) {
                    order[low] = b;
                    order[high] = a;
                }
            }
        }
    }
    __syncthreads();

    const int pieces = width / 8;
    for (int i = thread; i < (int)info.count * pieces; i += 1024) {
        const int row = i / pieces, piece = i % pieces, key = MOST - (int)(u32)order[row];
        const u64 to = ((u64)row * info.heads + head) * width + piece * 8;
        *reinterpret_cast<uint4*>(k_out + to) = *reinterpret_cast<const uint4*>(k + key * info.k_strides[1] + piece * 8);
        *reinterpret_cast<uint4*>(v_out + to) = *reinterpret_cast<const uint4*>(v + key * info.v_strides[1] + piece * 8);
    }
}
