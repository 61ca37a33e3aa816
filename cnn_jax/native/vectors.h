// Vectors of AVX-512 and products of matrices, for values in float32 and in bfloat16.

#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdint>

// Functions with vectors. The others also run on older processors, and ask which this one is.
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))

using Bfloat16 = uint16_t;

constexpr int kLanes = 16;  // float32 values of a vector
// A product of kRows rows and kPanel columns stays in the registers.
constexpr int kRows = 6, kVectors = 4, kPanel = kLanes * kVectors;

// Values of a sum that lie in 32 bits: the processor multiplies and adds pairs of bfloat16.
template <typename T>
constexpr int kPair = 4 / sizeof(T);

AVX512 inline __mmask16 First(int64_t count) {
  return count >= kLanes ? __mmask16(0xffff) : __mmask16((1 << count) - 1);
}

AVX512 inline __m512 Load(const float* from, __mmask16 mask) {
  return _mm512_maskz_loadu_ps(mask, from);
}

AVX512 inline __m512 Load(const Bfloat16* from, __mmask16 mask) {
  const __m512i bits = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}

AVX512 inline void Store(float* to, __mmask16 mask, __m512 values) {
  _mm512_mask_storeu_ps(to, mask, values);
}

AVX512 inline void Store(Bfloat16* to, __mmask16 mask, __m512 values) {
  _mm256_mask_storeu_epi16(to, mask, (__m256i)_mm512_cvtneps_pbh(values));
}

// The bits of values in bfloat16, each in 32 bits.
AVX512 inline __m512i Rounded(__m512 values) {
  return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(values));
}

// Stores values[0], and in bfloat16 values[step], each beside the one that it is summed with.
AVX512 inline void StorePair(float* to, const __m512* values, int) {
  _mm512_storeu_ps(to, values[0]);
}

AVX512 inline void StorePair(Bfloat16* to, const __m512* values, int step) {
  const __m512i second = _mm512_slli_epi32(Rounded(values[step]), 16);
  _mm512_storeu_si512(to, _mm512_or_si512(Rounded(values[0]), second));
}

AVX512 inline __m512 MultiplyAdd(float*, __m512 sum, __m512i a, __m512i b) {
  return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
}

AVX512 inline __m512 MultiplyAdd(Bfloat16*, __m512 sum, __m512i a, __m512i b) {
  return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

// The second factors of the products at all points, in the order in which they are read: panels of
// columns, each with all points, each with all steps of the sum.
struct Panels {
  int64_t points, steps, columns;  // columns: a multiple of kLanes

  int64_t Size() const { return points * steps * columns; }
  int64_t Width(int64_t column) const {
    return std::min<int64_t>(kPanel, columns - column / kPanel * kPanel);
  }
  // Where a point's columns are at the first step.
  int64_t Place(int64_t point, int64_t column) const {
    const int64_t first = column / kPanel * kPanel;
    return first * points * steps + point * steps * Width(column) + (column - first);
  }
};

// sums[r][j] (+)= sum over s of a[r][s] * b[s][j] for kRows rows and `vectors` columns.
template <typename T, int vectors>
AVX512 void Product(const T* a, int64_t row, int64_t step, const T* b, int64_t steps, float* sums,
                    bool add) {
  __m512 c[kRows][vectors];
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < vectors; v++) {
      c[r][v] = add ? _mm512_loadu_ps(sums + (r * vectors + v) * kLanes) : _mm512_setzero_ps();
    }
  }
  for (int64_t s = 0; s < steps; s++) {
    __m512i values[vectors];
    for (int v = 0; v < vectors; v++) values[v] = _mm512_loadu_si512(b + v * kLanes * kPair<T>);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; r++) {
      int bits;
      __builtin_memcpy(&bits, a + r * row, sizeof(bits));
      const __m512i value = _mm512_set1_epi32(bits);
      for (int v = 0; v < vectors; v++) {
        c[r][v] = MultiplyAdd(static_cast<T*>(nullptr), c[r][v], value, values[v]);
      }
    }
    a += step;
    b += vectors * kLanes * kPair<T>;
  }
  for (int r = 0; r < kRows; r++) {
    for (int v = 0; v < vectors; v++) {
      _mm512_storeu_ps(sums + (r * vectors + v) * kLanes, c[r][v]);
    }
  }
}

template <typename T>
void Multiply(const T* a, int64_t row, int64_t step, const T* b, int64_t width, int64_t steps,
              float* sums, bool add) {
  static constexpr decltype(&Product<T, 1>) kProducts[] = {Product<T, 1>, Product<T, 2>,
                                                           Product<T, 3>, Product<T, 4>};
  kProducts[width / kLanes - 1](a, row, step, b, steps, sums, add);
}
