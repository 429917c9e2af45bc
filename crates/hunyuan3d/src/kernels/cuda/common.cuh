// What every kernel shares: types, conversions, 16-byte rows. ELEMENT is defined before: 0 float16, 1 bfloat16.
#include <cuda_fp16.h>
#include <cuda_bf16.h>

typedef unsigned int u32;
typedef unsigned long long u64;

#if ELEMENT == 0
typedef __half elem;
#define ELEM "f16"
__device__ __forceinline__ float wide(elem x) { return __half2float(x); }
__device__ __forceinline__ elem narrow(float x) { return __float2half_rn(x); }
#else
typedef __nv_bfloat16 elem;
#define ELEM "bf16"
__device__ __forceinline__ float wide(elem x) { return __bfloat162float(x); }
__device__ __forceinline__ elem narrow(float x) { return __float2bfloat16_rn(x); }
#endif

// Two elements in a register, `low` at the lower address.
__device__ __forceinline__ u32 pack(float low, float high) {
    u32 both;
#if ELEMENT == 0
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
#else
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
#endif
    return both;
}

__device__ __forceinline__ float2 unpack(u32 both) {
#if ELEMENT == 0
    return __half22float2(*reinterpret_cast<__half2*>(&both));
#else
    return __bfloat1622float2(*reinterpret_cast<__nv_bfloat162*>(&both));
#endif
}

__device__ __forceinline__ u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

__device__ __forceinline__ float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// Eight elements, as they lie in 16 bytes.
struct Eight {
    float v[8];
    __device__ __forceinline__ void load(const elem* p) { set(*reinterpret_cast<const uint4*>(p)); }
    __device__ __forceinline__ void set(uint4 raw) {
        const u32 words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            float2 two = unpack(words[i]);
            v[2 * i] = two.x;
            v[2 * i + 1] = two.y;
        }
    }
    __device__ __forceinline__ uint4 raw() const {
        return make_uint4(pack(v[0], v[1]), pack(v[2], v[3]), pack(v[4], v[5]), pack(v[6], v[7]));
    }
    __device__ __forceinline__ void store(elem* p) const { *reinterpret_cast<uint4*>(p) = raw(); }
};

// What follows a linear layer, in float32. KIND is kernels::Epilogue's number.
template <int KIND> __device__ __forceinline__ float activate(float x) {
    if (KIND == 1) {
        // Abramowitz and Stegun 7.1.26: 1 - erf(z) for z ≥ 0 to 1.5e-7.
        float z = fabsf(x) * 0.70710678118654752f;
        float t = __fdividef(1.0f, fmaf(0.3275911f, z, 1.0f));
        float sum = fmaf(fmaf(fmaf(fmaf(1.061405429f, t, -1.453152027f), t, 1.421413741f), t, -0.284496736f), t, 0.254829592f);
        float rest = sum * t * exp2_fast(-1.44269504088896341f * z * z);
        return 0.5f * x * (x >= 0.0f ? 2.0f - rest : rest);
    }
    if (KIND == 2) {
#ifdef FAST_TANH
        float y = x * fmaf(x * x, 0.035677408f, 0.79788456f), t;
        asm("tanh.approx.f32 %0, %1;" : "=f"(t) : "f"(y));
        return fmaf(0.5f * x, t, 0.5f * x);
#endif
        // 1 + tanh(y) = 2 - 2 / (exp(2y) + 1), with the factors folded into one power of two.
        float power = exp2_fast(x * fmaf(x * x, 0.10294324f, 2.30220820f));
        return x - __fdividef(x, power + 1.0f);
    }
    if (KIND == 3) return __fdividef(x, 1.0f + exp2_fast(-1.44269504088896341f * x));
    if (KIND == 4) return x > 0.0f || x != x ? x : 0.0f;
    return x;
}
