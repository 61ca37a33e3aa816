// BatchNorm's sums over all rows of volumes (ops/batch_norm.py), as operations for XLA on a CPU
// with AVX-512. Each reads its volumes once, and XLA once for each sum.

#include <algorithm>
#include <cstdint>
#include <new>
#include <vector>

#include "crew.h"
#include "vectors.h"
#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;

// Sums grow in three steps, so that none adds many small values to a large one: over a block of
// rows, which stays in registers, over the blocks of a part, and over the parts.
constexpr int64_t kBlockRows = 64;
constexpr int64_t kPartBytes = 256 << 10;

// Row-major f[rows,depth].
template <typename T>
struct Rows {
  const T* values;
  int64_t depth;

  const T* At(int64_t row, int64_t channel) const { return values + row * depth + channel; }
};

// The sum of a and the sum of a * b of some channels.
struct Sums {
  float *plain, *products;
};

// Adds the rows from `begin` to `end`, of `vectors` vectors of channels from `left` on.
template <typename T, int vectors>
AVX512 void AddBlock(Rows<T> a, Rows<T> b, int64_t begin, int64_t end, int64_t left, Sums sums) {
  __m512 plain[vectors], products[vectors];
  __mmask16 masks[vectors];
  for (int v = 0; v < vectors; v++) {
    masks[v] = First(a.depth - left - v * kLanes);
    plain[v] = products[v] = _mm512_setzero_ps();
  }
  for (int64_t row = begin; row < end; row++) {
    for (int v = 0; v < vectors; v++) {
      const __m512 value = Load(a.At(row, left + v * kLanes), masks[v]);
      plain[v] = _mm512_add_ps(plain[v], value);
      products[v] =
          _mm512_fmadd_ps(value, Load(b.At(row, left + v * kLanes), masks[v]), products[v]);
    }
  }
  for (int v = 0; v < vectors; v++) {
    float* place = sums.plain + left + v * kLanes;
    Store(place, masks[v], _mm512_add_ps(Load(place, masks[v]), plain[v]));
    place = sums.products + left + v * kLanes;
    Store(place, masks[v], _mm512_add_ps(Load(place, masks[v]), products[v]));
  }
}

template <typename T>
void AddRows(Rows<T> a, Rows<T> b, int64_t begin, int64_t end, Sums sums) {
  static constexpr decltype(&AddBlock<T, 1>) kAdd[] = {AddBlock<T, 1>, AddBlock<T, 2>,
                                                       AddBlock<T, 3>, AddBlock<T, 4>};
  for (int64_t row = begin; row < end; row += kBlockRows) {
    for (int64_t left = 0; left < a.depth; left += kPanel) {
      const int64_t width = std::min<int64_t>(kPanel, a.depth - left);
      kAdd[(width - 1) / kLanes](a, b, row, std::min(row + kBlockRows, end), left, sums);
    }
  }
}

// Calls write(channel, sum of a, sum of a * b, number of rows) for each channel.
template <typename T, typename Function>
void AddUp(Crew& crew, Rows<T> a, Rows<T> b, int64_t rows, Function write) {
  const int64_t depth = a.depth;
  const int64_t rows_each = std::max<int64_t>(kBlockRows, kPartBytes / int64_t(depth * sizeof(T)));
  const int64_t parts = Quotient(rows, rows_each);
  std::vector<float> sums(parts * 2 * depth);  // of each part: of a, then of a * b
  crew.ForEach(parts, [&](int64_t part, int64_t) {
    float* part_sums = sums.data() + part * 2 * depth;
    const int64_t begin = part * rows_each, end = std::min(begin + rows_each, rows);
    AddRows(a, b, begin, end, {part_sums, part_sums + depth});
  });
  for (int64_t c = 0; c < depth; c++) {
    double plain = 0, products = 0;
    for (int64_t part = 0; part < parts; part++) {
      plain += sums[part * 2 * depth + c];
      products += sums[(part * 2 + 1) * depth + c];
    }
    write(c, plain, products, rows);
  }
}

using Vector = ffi::BufferR1<ffi::F32>;
using Result = ffi::Result<Vector>;

template <typename Function>
ffi::Error Run(ffi::ThreadPool pool, ffi::AnyBuffer a, ffi::AnyBuffer b, Function write) {
  const int64_t depth = a.dimensions().back(), rows = a.element_count() / depth;
  const auto with = [&](auto type) {
    using T = decltype(type);
    Crew crew(pool);
    AddUp<T>(crew, {static_cast<T*>(a.untyped_data()), depth},
             {static_cast<T*>(b.untyped_data()), depth}, rows, write);
  };
  try {
    a.element_type() == ffi::DataType::BF16 ? with(Bfloat16()) : with(float());
  } catch (const std::bad_alloc&) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted, "BatchNorm: out of memory");
  }
  return ffi::Error::Success();
}

ffi::Error Moments(ffi::ThreadPool pool, ffi::AnyBuffer x, Result mean, Result variance) {
  return Run(pool, x, x, [&](int64_t c, double sum, double squares, int64_t rows) {
    const double first = sum / rows, second = squares / rows - first * first;
    mean->typed_data()[c] = first;
    variance->typed_data()[c] = second < 0 ? 0 : second;  // NaN stays NaN
  });
}

ffi::Error NormGradients(ffi::ThreadPool pool, ffi::AnyBuffer of_y, ffi::AnyBuffer x, Vector mean,
                         Vector inverse, Result of_scale, Result of_bias) {
  return Run(pool, of_y, x, [&](int64_t c, double sum, double products, int64_t) {
    of_scale->typed_data()[c] = inverse.typed_data()[c] * (products - mean.typed_data()[c] * sum);
    of_bias->typed_data()[c] = sum;
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(CnnJaxMoments, Moments,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<Vector>()
                                  .Ret<Vector>());
XLA_FFI_DEFINE_HANDLER_SYMBOL(CnnJaxNormGradients, NormGradients,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<Vector>()
                                  .Arg<Vector>()
                                  .Ret<Vector>()
                                  .Ret<Vector>());
