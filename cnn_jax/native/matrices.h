// The matrices of Winograd's algorithm, as constants of the compiler.

#pragma once

#include "vectors.h"

// The algorithm's matrices for tiles of m outputs and r weights, n = m + r - 1: `matrices` in
// ops/winograd.py explains them. A^T [m,n], G [n,r] and B^T [n,n].
template <int m, int r>
struct Matrices {
  static constexpr int n = m + r - 1;
  static constexpr double kPoints[] = {0, 1, -1, 0.5, -2};

  static constexpr double Power(double base, int exponent) {
    return exponent ? base * Power(base, exponent - 1) : 1;
  }

  // Coefficient j of the product of all x - p except the i-th.
  static constexpr double Basis(int i, int j) {
    double product[n + 1] = {1};
    for (int k = 0, degree = 0; k < n - 1; k++) {
      if (k == i) continue;
      degree++;
      for (int d = degree; d >= 0; d--) {
        product[d] = (d ? product[d - 1] : 0) - kPoints[k] * (d < degree ? product[d] : 0);
      }
    }
    return product[j];
  }

  static constexpr double Scale(int i) {
    double scale = 1;
    for (int k = 0; k < n - 1; k++) scale *= k == i ? 1 : kPoints[i] - kPoints[k];
    return scale;
  }

  struct Outputs {
    static constexpr int kRows = m, kColumns = n;
    static constexpr float At(int i, int j) {
      return j < n - 1 ? Power(kPoints[j], i) : i == m - 1;
    }
  };
  struct Weights {
    static constexpr int kRows = n, kColumns = r;
    static constexpr float At(int i, int j) {
      return i < n - 1 ? Power(kPoints[i], j) / Scale(i) : j == r - 1;
    }
  };
  struct Inputs {
    static constexpr int kRows = n, kColumns = n;
    static constexpr float At(int i, int j) { return Basis(i, j); }
  };
};

template <typename M, int i, int j>
AVX512 inline void AddTerms(const __m512* in, int step, __m512& sum) {
  if constexpr (j < M::kColumns) {
    constexpr float value = M::At(i, j);
    if constexpr (value == 1) {
      sum += in[j * step];
    } else if constexpr (value == -1) {
      sum -= in[j * step];
    } else if constexpr (value != 0) {
      sum += value * in[j * step];
    }
    AddTerms<M, i, j + 1>(in, step, sum);
  }
}

template <typename M, int i = 0>
AVX512 inline void Apply(const __m512* in, int in_step, __m512* out, int out_step) {
  if constexpr (i < M::kRows) {
    __m512 sum = _mm512_setzero_ps();
    AddTerms<M, i, 0>(in, in_step, sum);
    out[i * out_step] = sum;
    Apply<M, i + 1>(in, in_step, out, out_step);
  }
}

// M X M^T of a square of vectors.
template <typename M>
AVX512 inline void Sandwich(const __m512* in, __m512* out) {
  __m512 half[M::kRows * M::kColumns];
#pragma GCC unroll 6
  for (int j = 0; j < M::kColumns; j++) Apply<M>(in + j, M::kColumns, half + j, M::kColumns);
#pragma GCC unroll 6
  for (int i = 0; i < M::kRows; i++) Apply<M>(half + i * M::kColumns, 1, out + i * M::kRows, 1);
}
