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

__device__ __forceinline__ float tanh_fast(float x) {
    float y;
    asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
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
    // The unit's hyperbolic tangent is right to 2⁻¹¹, as half precision is.
    if (KIND == 1) {
        // erf(x / √2) as tanh(x · p(x²)), p fitted so that the result is off by 1.2e-5 at the most.
        const float u = fminf(x * x, 30.0f);
        const float p = fmaf(fmaf(fmaf(-8.60763888e-6f, u, -2.55099281e-4f), u, 3.67308140e-2f), u, 7.97690120e-1f);
        return fmaf(0.5f * x, tanh_fast(x * p), 0.5f * x);
    }
    if (KIND == 2) {
        return fmaf(0.5f * x, tanh_fast(x * fmaf(x * x, 0.035677408f, 0.79788456f)), 0.5f * x);
    }
    if (KIND == 3) return __fdividef(x, 1.0f + exp2_fast(-1.44269504088896341f * x));
    if (KIND == 4) return x > 0.0f || x != x ? x : 0.0f;
    return x;
}
