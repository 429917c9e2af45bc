// What is done to rows: norms, modulation, gates, heads, embeddings. A warp takes a row; 16 bytes a lane at a time.

// Channels of the widest row that a warp holds in registers: fewer leave more warps a place to wait for memory.
#ifndef MOST
#define MOST 2048
#endif
#define PIECES (MOST / 256)

__device__ __forceinline__ float sum_of_warp(float x) {
#pragma unroll
    for (int i = 16; i > 0; i /= 2) x += __shfl_xor_sync(~0u, x, i);
    return x;
}

struct NormInfo {
    // Rows, channels, elements from a batch item and a row of x to the next, rows of a batch item; elements from the scale of
    // a batch item to the next's; then the epsilon's bits and what is done: 0 nothing, 1 gain and offset, 2 modulation.
    u64 rows, width, x_batch, x_row, batch_rows, scale_stride, epsilon, kind;
};

// Layer norm; out = normed · gain + offset, or normed · (1 + scale) + shift.
extern "C" __global__ void __launch_bounds__(256)
    layer_norm(const elem* __restrict__ x, const elem* __restrict__ scale, const elem* __restrict__ shift, elem* __restrict__ out,
         const __grid_constant__ NormInfo info) {
    const u64 row = (u64)blockIdx.x * 8 + threadIdx.x / 32;
    if (row >= info.rows) return;
    const int lane = threadIdx.x % 32, width = (int)info.width;
    const u32 batch = (u32)row / (u32)info.batch_rows;
    x += batch * info.x_batch + (u32)row % (u32)info.batch_rows * info.x_row;
    Eight v[PIECES];
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < PIECES; i++) {
        const int at = (i * 32 + lane) * 8;
        if (at < width) {
            v[i].load(x + at);
#pragma unroll
            for (int j = 0; j < 8; j++) sum += v[i].v[j];
        }
    }
    const float mean = sum_of_warp(sum) / width;
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < PIECES; i++) {
        if ((i * 32 + lane) * 8 < width) {
#pragma unroll
            for (int j = 0; j < 8; j++) {
                v[i].v[j] -= mean;
                squares = fmaf(v[i].v[j], v[i].v[j], squares);
            }
        }
    }
    const float inverse = rsqrtf(sum_of_warp(squares) / width + __uint_as_float((u32)info.epsilon));
    scale += batch * info.scale_stride;
    shift += batch * info.scale_stride;
    const float one = info.kind == 2 ? 1.0f : 0.0f;
#pragma unroll
    for (int i = 0; i < PIECES; i++) {
        const int at = (i * 32 + lane) * 8;
        if (at < width) {
            if (info.kind == 0) {
#pragma unroll
                for (int j = 0; j < 8; j++) v[i].v[j] *= inverse;
            } else {
                Eight a, b;
                a.load(scale + at);
                b.load(shift + at);
#pragma unroll
                for (int j = 0; j < 8; j++) v[i].v[j] = fmaf(v[i].v[j] * inverse, a.v[j] + one, b.v[j]);
            }
            v[i].store(out + row * width + at);
        }
    }
}

struct DotInfo {
    // As NormInfo, without batches; kind 0: no norm first.
    u64 rows, width, epsilon, kind, has_bias;
};

// A row's scalar: layer norm with gain and offset, then the product with one vector.
extern "C" __global__ void __launch_bounds__(256)
    norm_dot(const elem* __restrict__ x, const elem* __restrict__ gain, const elem* __restrict__ offset,
             const elem* __restrict__ vector, const elem* __restrict__ bias, elem* __restrict__ out,
             const __grid_constant__ DotInfo info) {
    const u64 row = (u64)blockIdx.x * 8 + threadIdx.x / 32;
    if (row >= info.rows) return;
    const int lane = threadIdx.x % 32, width = (int)info.width;
    x += row * width;
    Eight v[PIECES];
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < PIECES; i++) {
        const int at = (i * 32 + lane) * 8;
        if (at < width) {
            v[i].load(x + at);
#pragma unroll
            for (int j = 0; j < 8; j++) sum += v[i].v[j];
        }
    }
    float mean = 0.0f, inverse = 1.0f;
    if (info.kind) {
        mean = sum_of_warp(sum) / width;
        float squares = 0.0f;
#pragma unroll
        for (int i = 0; i < PIECES; i++) {
            if ((i * 32 + lane) * 8 < width) {
#pragma unroll
                for (int j = 0; j < 8; j++) squares = fmaf(v[i].v[j] - mean, v[i].v[j] - mean, squares);
            }
        }
        inverse = rsqrtf(sum_of_warp(squares) / width + __uint_as_float((u32)info.epsilon));
    }
    float dot = 0.0f;
#pragma unroll
    for (int i = 0; i < PIECES; i++) {
        const int at = (i * 32 + lane) * 8;
        if (at < width) {
            Eight w, a, b;
            w.load(vector + at);
            if (info.kind) {
                a.load(gain + at);
                b.load(offset + at);
            }
#pragma unroll
            for (int j = 0; j < 8; j++) {
                const float y = info.kind ? fmaf((v[i].v[j] - mean) * inverse, a.v[j], b.v[j]) : v[i].v[j];
                dot = fmaf(y, w.v[j], dot);
            }
        }
    }
    dot = sum_of_warp(dot);
    if (lane == 0) out[row] = narrow(dot + (info.has_bias ? wide(bias[0]) : 0.0f));
}

struct HeadInfo {
    // Batches, heads, tokens, channels of a head; elements from a batch item, head and token of x to the next, and of out;
    // the epsilon's bits; 0: RMS norm, 1: layer norm, 2: a copy.
    u64 batches, heads, tokens, width, x_strides[3], out_strides[3], epsilon, kind;
};

// A norm over each head's channels: eight lanes a head, up to 64 channels; a block takes 16 heads of a token.
extern "C" __global__ void __launch_bounds__(128)
    head_norm(const elem* __restrict__ x, const elem* __restrict__ gain, const elem* __restrict__ offset,
              elem* __restrict__ out, const __grid_constant__ HeadInfo info) {
    const int piece = threadIdx.x % 8, width = (int)info.width;
    const u32 row = blockIdx.x, batch = row / (u32)info.tokens, token = row % (u32)info.tokens;
    const u32 head = blockIdx.y * 16 + threadIdx.x / 8;
    // All eight lanes of a head are here or none.
    if (head >= info.heads) return;
    const bool inside = piece * 8 < width;
    const u32 lanes = 0xFFu << (threadIdx.x % 32 / 8 * 8);
    Eight v;
#pragma unroll
    for (int j = 0; j < 8; j++) v.v[j] = 0.0f;
    if (inside) {
        v.load(x + batch * info.x_strides[0] + head * info.x_strides[1] + token * info.x_strides[2] + piece * 8);
    }
    if (info.kind < 2) {
        float mean = 0.0f;
        if (info.kind == 1) {
#pragma unroll
            for (int j = 0; j < 8; j++) mean += v.v[j];
#pragma unroll
            for (int i = 4; i > 0; i /= 2) mean += __shfl_xor_sync(lanes, mean, i);
            mean /= width;
        }
        float squares = 0.0f;
#pragma unroll
        for (int j = 0; j < 8; j++) {
            v.v[j] = inside ? v.v[j] - mean : 0.0f;
            squares = fmaf(v.v[j], v.v[j], squares);
        }
#pragma unroll
        for (int i = 4; i > 0; i /= 2) squares += __shfl_xor_sync(lanes, squares, i);
        const float inverse = rsqrtf(squares / width + __uint_as_float((u32)info.epsilon));
        if (inside) {
            Eight a, b;
            a.load(gain + piece * 8);
            if (info.kind == 1) b.load(offset + piece * 8);
#pragma unroll
            for (int j = 0; j < 8; j++) v.v[j] = fmaf(v.v[j] * inverse, a.v[j], info.kind == 1 ? b.v[j] : 0.0f);
        }
    }
    if (inside) {
        v.store(out + batch * info.out_strides[0] + head * info.out_strides[1] + token * info.out_strides[2] + piece * 8);
    }
}

struct JoinInfo {
    // Tokens of the first and the second stream (0: there is none), batches, heads, channels of a head, the epsilon's bits;
    // 3, or 2 where values stay where they are.
    u64 first, second, batches, heads, width, epsilon, parts;
};

// Queries, keys and values of one stream or two, behind one another: RMS norms of queries and keys with each stream's gains,
// values as they are. From [batch, tokens, 3, heads, width] to [batch, tokens, parts, heads, width].
extern "C" __global__ void __launch_bounds__(128)
    join_heads(const elem* __restrict__ first, const elem* __restrict__ second, const elem* __restrict__ first_query,
               const elem* __restrict__ first_key, const elem* __restrict__ second_query,
               const elem* __restrict__ second_key, elem* __restrict__ out, const __grid_constant__ JoinInfo info) {
    const int piece = threadIdx.x % 8, width = (int)info.width;
    const u32 tokens = (u32)(info.first + info.second), across = (u32)(info.parts * info.heads);
    const u32 row = blockIdx.x, batch = row / tokens, token = row % tokens;
    const u32 head = blockIdx.y * 16 + threadIdx.x / 8, kind = head / (u32)info.heads;
    if (head >= across) return;
    const bool inside = piece * 8 < width, early = token < info.first;
    const u32 lanes = 0xFFu << (threadIdx.x % 32 / 8 * 8);
    const elem* from = early ? first + ((u64)batch * info.first + token) * 3 * info.heads * width
                             : second + ((u64)batch * info.second + token - info.first) * 3 * info.heads * width;
    uint4 values = make_uint4(0, 0, 0, 0);
    if (inside) values = *reinterpret_cast<const uint4*>(from + head * width + piece * 8);
    if (kind < 2) {
        Eight v;
        v.set(values);
        float squares = 0.0f;
#pragma unroll
        for (int j = 0; j < 8; j++) squares = fmaf(v.v[j], v.v[j], squares);
#pragma unroll
        for (int i = 4; i > 0; i /= 2) squares += __shfl_xor_sync(lanes, squares, i);
        const float inverse = rsqrtf(squares / width + __uint_as_float((u32)info.epsilon));
        const elem* gain = kind == 0 ? (early ? first_query : second_query) : (early ? first_key : second_key);
        if (inside) {
            Eight a;
            a.load(gain + piece * 8);
#pragma unroll
            for (int j = 0; j < 8; j++) v.v[j] *= inverse * a.v[j];
            values = v.raw();
        }
    }
    if (inside) *reinterpret_cast<uint4*>(out + ((u64)row * across + head) * width + piece * 8) = values;
}

struct GateInfo {
    // Pieces of eight in all, of a row and of a batch item; elements from a batch item's gate to the next's; 0: no gate.
    u64 pieces, row, batch, gate_stride, gated;
};

// x + gate · y, or x + y.
extern "C" __global__ void __launch_bounds__(256)
    gated_add(const elem* __restrict__ x, const elem* __restrict__ gate, const elem* __restrict__ y, elem* __restrict__ out,
              const __grid_constant__ GateInfo info) {
    const u64 at = (u64)blockIdx.x * 256 + threadIdx.x;
    if (at >= info.pieces) return;
    Eight a, b, g;
    a.load(x + at * 8);
    b.load(y + at * 8);
    if (info.gated) g.load(gate + at / info.batch * info.gate_stride + at % info.row * 8);
#pragma unroll
    for (int j = 0; j < 8; j++) a.v[j] = info.gated ? fmaf(g.v[j], b.v[j], a.v[j]) : a.v[j] + b.v[j];
    a.store(out + at * 8);
}

struct SwigluInfo {
    // Pieces of eight of the result in all, and of its rows.
    u64 pieces, row;
};

// silu(first half) · second half.
extern "C" __global__ void __launch_bounds__(256)
    swiglu(const elem* __restrict__ x, elem* __restrict__ out, const __grid_constant__ SwigluInfo info) {
    const u64 at = (u64)blockIdx.x * 256 + threadIdx.x;
    if (at >= info.pieces) return;
    const u64 begin = (at / info.row * 2 * info.row + at % info.row) * 8;
    Eight a, b;
    a.load(x + begin);
    b.load(x + begin + info.row * 8);
#pragma unroll
    for (int j = 0; j < 8; j++) a.v[j] = wide(narrow(activate<3>(a.v[j]))) * b.v[j];
    a.store(out + at * 8);
}

struct FourierInfo {
    // Points and elements from one to the next; frequencies, channels of a row with zeros behind; the first frequency's bits, each
    // next twice it.
    u64 points, point_row, frequencies, width, lowest;
};

// A channel of a point's embedding: its coordinates, then their sines, then their cosines; 0 behind them.
__device__ __forceinline__ float embedded(const float* point, int channel, int count, float lowest) {
    const int half = 3 * count;
    if (channel < 3) return point[channel];
    if (channel >= 3 + 2 * half) return 0.0f;
    const int at = (channel - 3) % half;
    const float angle = point[at / count] * (lowest * exp2f((float)(at % count)));
    return channel < 3 + half ? sinf(angle) : cosf(angle);
}

// Points' embeddings, with zeros up to a row that the matrix product takes.
extern "C" __global__ void __launch_bounds__(256)
    fourier(const float* __restrict__ points, elem* __restrict__ out, const __grid_constant__ FourierInfo info) {
    const u64 index = (u64)blockIdx.x * 256 + threadIdx.x;
    const u32 width = (u32)info.width, point = (u32)(index / width);
    if (point >= info.points) return;
    const int channel = (int)(index - (u64)point * width);
    const float lowest = __uint_as_float((u32)info.lowest);
    out[index] = narrow(embedded(points + point * info.point_row, channel, (int)info.frequencies, lowest));
}

struct ScaledInfo {
    // As FourierInfo, for 64 channels; then the epsilon's bits and elements from a row of the result to the next.
    u64 points, point_row, frequencies, lowest, epsilon, out_row;
};

// Channels of an embedding with the 1 behind it, up to a multiple of four.
#ifndef CHANNELS
#define CHANNELS 52
#endif

// The same with a 1 behind the embedding, for a bias among the weights, and for each point 1 / √(eᵀ · gram · e + ε): what a layer norm of
// a linear function of e divides by. A warp takes a point, a lane two of its 64 channels and the matrix's two columns, in registers.
extern "C" __global__ void __launch_bounds__(256)
    fourier_scaled(const float* __restrict__ points, const float* __restrict__ gram, elem* __restrict__ out,
                   float* __restrict__ scale, const __grid_constant__ ScaledInfo info) {
    __shared__ float4 embeddings[8][16];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, count = (int)info.frequencies, all = 3 + 6 * count;
    const float epsilon = __uint_as_float((u32)info.epsilon);
    float column[2][CHANNELS];
#pragma unroll
    for (int i = 0; i < CHANNELS; i++) {
        column[0][i] = gram[i * 64 + lane];
        column[1][i] = gram[i * 64 + lane + 32];
    }
    // A wave's turns are its coordinate times `factor` and, for a cosine, a quarter.
    int axis[2];
    float factor[2], quarter[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int channel = lane + 32 * half, at = channel < 3 ? channel : (channel - 3) % (3 * count);
        axis[half] = channel < 3 ? channel : at / count;
        factor[half] = __uint_as_float((u32)info.lowest) * exp2f((float)(at % count)) * 0.15915494309f;
        quarter[half] = channel < 3 + 3 * count ? 0.0f : 0.25f;
    }
    for (u64 point = (u64)blockIdx.x * 8 + warp; point < info.points; point += (u64)gridDim.x * 8) {
        float e[2], product[2] = {0.0f, 0.0f};
        float* embedding = reinterpret_cast<float*>(embeddings[warp]);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int channel = lane + 32 * half;
            const float place = points[point * info.point_row + axis[half]];
            // Right to 1e-5 for the highest of eight frequencies, a twentieth of what half precision keeps.
            float turns = fmaf(place, factor[half], quarter[half]);
            turns -= rintf(turns);
            const float wave = __sinf(turns * 6.28318530718f);
            const elem rounded = narrow(channel < 3 ? place : channel < all ? wave : channel == all ? 1.0f : 0.0f);
            out[point * info.out_row + channel] = rounded;
            e[half] = wide(rounded);
            embedding[channel] = e[half];
        }
        __syncwarp();
#pragma unroll
        for (int i = 0; i < CHANNELS; i += 4) {
            const float4 other = embeddings[warp][i / 4];
#pragma unroll
            for (int half = 0; half < 2; half++) {
                product[half] = fmaf(column[half][i], other.x, product[half]);
                product[half] = fmaf(column[half][i + 1], other.y, product[half]);
                product[half] = fmaf(column[half][i + 2], other.z, product[half]);
                product[half] = fmaf(column[half][i + 3], other.w, product[half]);
            }
        }
        const float square = sum_of_warp(fmaf(e[0], product[0], e[1] * product[1]));
        if (lane == 0) scale[point] = rsqrtf(fmaxf(square, 0.0f) + epsilon);
        __syncwarp();
    }
}

struct VectorInfo {
    // Rows of x and of w; channels; elements from a row of w to the next; kernels::Epilogue's number.
    u64 count, columns, depth, w_row, has_bias, epilogue;
};

// x · wᵀ for few rows of x: a warp takes a row of w and every row of x.
extern "C" __global__ void __launch_bounds__(256)
    vector_product(const elem* __restrict__ x, const elem* __restrict__ w, const elem* __restrict__ bias,
                   elem* __restrict__ out, const __grid_constant__ VectorInfo info) {
    const u64 column = (u64)blockIdx.x * 8 + threadIdx.x / 32;
    if (column >= info.columns) return;
    const int lane = threadIdx.x % 32, depth = (int)info.depth;
    w += column * info.w_row;
    for (int row = 0; row < (int)info.count; row++) {
        float dot = 0.0f;
        for (int at = lane * 8; at < depth; at += 256) {
            Eight a, b;
            a.load(x + (u64)row * depth + at);
            b.load(w + at);
#pragma unroll
            for (int j = 0; j < 8; j++) dot = fmaf(a.v[j], b.v[j], dot);
        }
        dot = sum_of_warp(dot);
        if (lane == 0) {
            if (info.has_bias) dot += wide(bias[column]);
            if (info.epilogue == 1) dot = activate<1>(dot);
            if (info.epilogue == 2) dot = activate<2>(dot);
            if (info.epilogue == 3) dot = activate<3>(dot);
            if (info.epilogue == 4) dot = activate<4>(dot);
            out[(u64)row * info.columns + column] = narrow(dot);
        }
    }
}
