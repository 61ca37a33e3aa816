// Winograd's algorithm for convolutions of stride 1 (ops/winograd.py), as operations for XLA on a
// CPU with AVX-512.
//
// Images are [B,H,W,C] and kernels [3,3,C/G,K] in row-major order, as in JAX. A few tiles at a time
// are transformed, multiplied and transformed back, so that the values at the points stay in a
// core's L2 cache: written to memory, they are twice to four times as large as the image.

#include <algorithm>
#include <array>
#include <cstdint>
#include <mutex>
#include <new>

#include "crew.h"
#include "matrices.h"
#include "tiles.h"
#include "vectors.h"
#include "workspace.h"
#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;
using Numbers = ffi::Span<const int64_t>;

constexpr int kSide = 3;                   // of a kernel
constexpr int64_t kL2Bytes = 640 << 10;    // of a core's L2 cache, for one block of tiles
constexpr int64_t kL3Bytes = 3 << 20;      // of its share of the L3 cache
constexpr int64_t kSumsBytes = 256 << 20;  // of all parts of a kernel's gradient
constexpr int64_t kLine = 64;              // bytes of a line of a cache

// An odd number of cache lines: powers of two from each other, all points would have the same
// places in the cache, which has only a few for each.
int64_t OddLines(int64_t bytes) { return (RoundUp(bytes, kLine) / kLine | 1) * kLine; }

// A group's channels of a volume.
template <typename T>
Volume<T> VolumeOf(ffi::AnyBuffer buffer, int64_t group, int64_t groups) {
  const auto sides = buffer.dimensions();
  const int64_t depth = sides[3] / groups;
  T* values = static_cast<T*>(buffer.untyped_data());
  return {values + group * depth, sides[1], sides[2], depth, sides[3]};
}

// A group's filters of a kernel f[r,r,C/G,K].
template <typename T>
struct Kernel {
  T* values;
  int64_t depth, filters, columns;  // columns: the filters of all groups

  // Where a place of the window has a channel's weights.
  T* At(int place, int64_t channel) const { return values + (place * depth + channel) * columns; }
};

template <typename T>
Kernel<T> KernelOf(ffi::AnyBuffer buffer, int64_t group, int64_t groups) {
  const auto sides = buffer.dimensions();
  const int64_t filters = sides[3] / groups;
  T* values = static_cast<T*>(buffer.untyped_data());
  return {values + group * filters, sides[2], filters, sides[3]};
}

// One or two channels of a kernel at the points, for sums over channels.
template <typename Weights, typename T>
AVX512 void TransformKernel(const Kernel<T>& kernel, int64_t pair, const Panels& panels, T* to) {
  constexpr int r = Weights::kColumns, kPoints = Weights::kRows * Weights::kRows;
  __m512 pixels[r * r], points[2 * kPoints];
  for (int64_t k = 0; k < kernel.filters; k += kLanes) {
    const __mmask16 mask = First(kernel.filters - k);
    for (int half = 0; half < kPair<T>; half++) {
      const int64_t channel = pair * kPair<T> + half;
      for (int i = 0; i < r * r; i++) {
        pixels[i] =
            channel < kernel.depth ? Load(kernel.At(i, channel) + k, mask) : _mm512_setzero_ps();
      }
      Sandwich<Weights>(pixels, points + half * kPoints);
    }
    for (int p = 0; p < kPoints; p++) {
      const int64_t place = panels.Place(p, k) + pair * panels.Width(k);
      StorePair(to + place * kPair<T>, points + p, kPoints);
    }
  }
}

// Convolves a block of tiles: values and products are those of its tiles at the points.
template <typename M, typename T>
AVX512 void ConvolveBlock(const Volume<T>& image, const Volume<T>& output, const T* factors,
                          const Panels& panels, const Tiles& tiles, int64_t first, int64_t count,
                          T* values, int64_t apart, float* products, int64_t products_apart) {
  constexpr int kPoints = M::n * M::n;
  const int64_t stride = RoundUp(image.depth, kLanes);
  __m512 pixels[kPoints], points[kPoints];
  for (int64_t t = 0; t < count; t++) {
    const Corner corner = tiles.At(first + t);
    for (int64_t c = 0; c < image.depth; c += kLanes) {
      image.template Read<M::n>(corner, c, pixels);
      Sandwich<typename M::Inputs>(pixels, points);
      for (int p = 0; p < kPoints; p++) {
        Store(values + p * apart + t * stride + c, First(kLanes), points[p]);
      }
    }
  }
  for (int64_t k = 0; k < panels.columns; k += kPanel) {
    const int64_t width = panels.Width(k);
    for (int p = 0; p < kPoints; p++) {
      const T* panel = factors + panels.Place(p, k) * kPair<T>;
      for (int64_t t = 0; t < count; t += kRows) {
        Multiply(values + p * apart + t * stride, stride, kPair<T>, panel, width, panels.steps,
                 products + p * products_apart + t * width, false);
      }
    }
    for (int64_t t = 0; t < count; t++) {
      const Corner corner = tiles.Unpadded().At(first + t);
      for (int64_t v = 0; v < width && k + v < output.depth; v += kLanes) {
        for (int p = 0; p < kPoints; p++) {
          points[p] = _mm512_loadu_ps(products + p * products_apart + t * width + v);
        }
        Sandwich<typename M::Outputs>(points, pixels);
        output.template Write<M::Outputs::kRows>(corner, k + v, pixels);
      }
    }
  }
}

template <typename M, typename T>
void Convolve(Crew& crew, const Volume<T>& image, const Kernel<T>& kernel,
              const Volume<T>& output, const Tiles& tiles) {
  static auto* spaces = new std::array<Workspace, 2>;
  constexpr int64_t points = M::n * M::n;
  const int64_t stride = RoundUp(image.depth, kLanes);
  const Panels panels = {points, Quotient(image.depth, kPair<T>), RoundUp(output.depth, kLanes)};
  T* factors = static_cast<T*>((*spaces)[0].AtLeast(panels.Size() * 4));
  crew.ForEach(panels.steps, [&](int64_t pair, int64_t) {
    TransformKernel<typename M::Weights>(kernel, pair, panels, factors);
  });

  const int64_t value = stride * sizeof(T), product = panels.Width(0) * sizeof(float);
  const int64_t fair = tiles.Count() / (4 * crew.threads());
  const int64_t room = kL2Bytes / (points * (value + product));
  const int64_t most = std::max<int64_t>(1, std::min(room, fair) / kRows) * kRows;
  const int64_t values = OddLines(most * value), products = OddLines(most * product);
  const int64_t each = points * (values + products);
  char* scratch = static_cast<char*>((*spaces)[1].AtLeast(crew.threads() * each));
  crew.ForEach(Quotient(tiles.Count(), most), [&](int64_t block, int64_t slot) {
    char* space = scratch + slot * each;
    const int64_t first = block * most, count = std::min(most, tiles.Count() - first);
    ConvolveBlock<M>(image, output, factors, panels, tiles, first, count,
                     reinterpret_cast<T*>(space), values / sizeof(T),
                     reinterpret_cast<float*>(space + points * values), products / sizeof(float));
  });
}

// Values of a row of channels, for sums over tiles: kRows of them are read from any on.
int64_t RowOf(int64_t depth) { return RoundUp(depth, kLanes) + kLanes; }

// Where a vector of channels lies at the first point, and how far from there at the next one.
struct Points {
  int64_t first, apart;
};

// Tiles of one step at the points, for sums over tiles: their values are side by side.
template <typename M, typename T, typename Place>
AVX512 void TransformTiles(const Volume<T>& volume, const Tiles& tiles, int64_t first, int64_t end,
                           int64_t left, int64_t right, T* to, Place place) {
  constexpr int kPoints = M::kRows * M::kRows;
  __m512 pixels[M::kColumns * M::kColumns], values[2 * kPoints];
  Corner corners[kPair<T>];
  for (int i = 0; i < kPair<T>; i++) corners[i] = tiles.At(first + i);
  for (int64_t c = left; c < right; c += kLanes) {
    for (int i = 0; i < kPair<T>; i++) {
      if (first + i < end) {
        volume.template Read<M::kColumns>(corners[i], c, pixels);
      } else {
        for (__m512& pixel : pixels) pixel = _mm512_setzero_ps();
      }
      Sandwich<M>(pixels, values + i * kPoints);
    }
    const Points there = place(c);
    T* at = to + there.first * kPair<T>;
    for (int p = 0; p < kPoints; p++, at += there.apart * kPair<T>) {
      StorePair(at, values + p, kPoints);
    }
  }
}

// The gradients of a channel's weights, from as many sums as there are parts of the work.
template <typename M>
AVX512 void KernelFromPoints(const float* totals, int64_t count, const Panels& sums,
                             int64_t channel, const Kernel<float>& kernel) {
  constexpr int r = M::kRows, kPoints = M::kColumns * M::kColumns;
  __m512 points[kPoints], pixels[r * r];
  for (int64_t k = 0; k < kernel.filters; k += kLanes) {
    for (int p = 0; p < kPoints; p++) {
      const float* sum = totals + sums.Place(p, k) + channel * sums.Width(k);
      points[p] = _mm512_loadu_ps(sum);
      for (int64_t i = 1; i < count; i++) points[p] += _mm512_loadu_ps(sum + i * sums.Size());
    }
    Sandwich<M>(points, pixels);
    for (int i = 0; i < r * r; i++) {
      Store(kernel.At(i, channel) + k, First(kernel.filters - k), pixels[i]);
    }
  }
}

// Adds the products of tiles [first, end) and filters from `left` on to the sums.
template <typename M, typename T>
void AddProducts(const Volume<T>& image, const Volume<T>& gradient, const Tiles& tiles,
                 int64_t first, int64_t end, int64_t left, const Panels& panels, const Panels& sums,
                 T* values, T* factors, float* total, bool add) {
  constexpr int64_t kPoints = M::n * M::n;
  const int64_t stride = RowOf(image.depth), right = left + panels.columns;
  const int64_t steps = Quotient(end - first, kPair<T>);
  for (int64_t step = 0; step < steps; step++) {
    const int64_t tile = first + step * kPair<T>;
    TransformTiles<typename M::Inputs>(
        image, tiles, tile, end, 0, image.depth, values,
        [&](int64_t c) { return Points{step * stride + c, panels.steps * stride}; });
    TransformTiles<typename M::Weights>(
        gradient, tiles.Unpadded(), tile, end, left, std::min(right, gradient.depth), factors,
        [&](int64_t k) {
          const int64_t width = panels.Width(k - left);
          return Points{panels.Place(0, k - left) + step * width, panels.steps * width};
        });
  }
  for (int64_t p = 0; p < kPoints; p++) {
    for (int64_t k = left; k < right; k += kPanel) {
      const int64_t width = sums.Width(k);
      for (int64_t c = 0; c < sums.steps; c += kRows) {
        Multiply(values + (p * panels.steps * stride + c) * kPair<T>, int64_t{kPair<T>},
                 stride * kPair<T>, factors + panels.Place(p, k - left) * kPair<T>, width, steps,
                 total + sums.Place(p, k) + c * width, add);
      }
    }
  }
}

template <typename M, typename T>
void KernelGradient(Crew& crew, const Volume<T>& image, const Volume<T>& gradient,
                    const Kernel<float>& kernel, const Tiles& tiles) {
  static auto* spaces = new std::array<Workspace, 2>;
  constexpr int64_t points = M::n * M::n;
  const int64_t depth = image.depth, filters = gradient.depth, count = tiles.Count();
  const int64_t columns = RoundUp(filters, kLanes);
  const Panels sums = {points, RoundUp(depth, kRows), columns};
  // Each part of the work has tiles and filters of its own: threads share no lines of the cache.
  // With few tiles, their image is transformed for each part, rather than sums added up.
  const int64_t most_sums = std::max<int64_t>(1, kSumsBytes / (sums.Size() * 4));
  const int64_t enough = std::max<int64_t>(1, count / 64);
  const int64_t share = count < 4 * filters ? 1 : std::min({crew.threads(), enough, most_sums});
  const int64_t its_tiles = RoundUp(Quotient(count, share), 2);
  const int64_t by_tiles = Quotient(count, its_tiles);
  const int64_t panels_each =
      Quotient(Quotient(columns, kPanel), std::max<int64_t>(1, crew.threads() / by_tiles));
  const int64_t its_columns = std::min(columns, panels_each * kPanel);
  const int64_t by_filters = Quotient(columns, its_columns);

  const int64_t row = RowOf(depth);
  const int64_t l2 = (kL2Bytes - 4 * sums.steps * kPanel) / int64_t((row + kPanel) * sizeof(T));
  const int64_t l3 = kL3Bytes / int64_t(points * (row + its_columns) * sizeof(T));
  const int64_t most = std::min(std::max<int64_t>(RoundUp(std::min(l2, l3), 2), 64), its_tiles);
  const int64_t steps = most / kPair<T> | 1;
  const int64_t values = points * steps * row, factors = points * steps * its_columns;
  T* scratch = static_cast<T*>((*spaces)[0].AtLeast(crew.threads() * (values + factors) * 4));
  float* totals = static_cast<float*>((*spaces)[1].AtLeast(by_tiles * sums.Size() * 4));
  crew.ForEach(by_tiles * by_filters, [&](int64_t part, int64_t slot) {
    T* space = scratch + slot * (values + factors) * kPair<T>;
    const int64_t begin = part / by_filters * its_tiles, left = part % by_filters * its_columns;
    const int64_t end = std::min(begin + its_tiles, count);
    const int64_t right = std::min(left + its_columns, columns);
    for (int64_t first = begin; first < end; first += most) {
      AddProducts<M>(image, gradient, tiles, first, std::min(first + most, end), left,
                     {points, steps, right - left}, sums, space, space + values * kPair<T>,
                     totals + part / by_filters * sums.Size(), first > begin);
    }
  });
  crew.ForEach(depth, [&](int64_t channel, int64_t) {
    KernelFromPoints<typename M::Outputs>(totals, by_tiles, sums, channel, kernel);
  });
}

// Calls a function for each group, with the matrices of tiles of m and a value of the images' type.
template <template <int> typename M, typename Function>
ffi::Error Run(int64_t m, ffi::DataType type, int64_t groups, Function function) {
  static auto* mutex = new std::mutex;  // each uses all cores, and the workspaces are shared
  const std::lock_guard<std::mutex> lock(*mutex);
  const auto with = [&](auto matrices) {
    for (int64_t group = 0; group < groups; group++) {
      type == ffi::DataType::BF16 ? function(matrices, Bfloat16(), group)
                                  : function(matrices, float(), group);
    }
  };
  try {
    if (m == 2) with(M<2>());
    if (m == 3) with(M<3>());
    if (m == 4) with(M<4>());
  } catch (const std::bad_alloc&) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted, "convolution: out of memory");
  }
  return ffi::Error::Success();
}

Tiles TilesOf(ffi::AnyBuffer output, int64_t m, Numbers padding) {
  const auto sides = output.dimensions();
  return {sides[0], Quotient(sides[1], m), Quotient(sides[2], m), m, padding[0], padding[2]};
}

template <int m>
using OfImage = Matrices<m, kSide>;
template <int m>
using OfKernel = Matrices<kSide, m>;

ffi::Error Convolution(ffi::ThreadPool pool, int64_t m, Numbers padding, int64_t groups,
                       ffi::AnyBuffer image, ffi::AnyBuffer kernel,
                       ffi::Result<ffi::AnyBuffer> output) {
  Crew crew(pool);
  return Run<OfImage>(
      m, image.element_type(), groups, [&](auto matrices, auto type, int64_t group) {
        using T = decltype(type);
        Convolve<decltype(matrices)>(crew, VolumeOf<T>(image, group, groups),
                                     KernelOf<T>(kernel, group, groups),
                                     VolumeOf<T>(*output, group, groups),
                                     TilesOf(*output, m, padding));
      });
}

ffi::Error Gradient(ffi::ThreadPool pool, int64_t m, Numbers padding, int64_t groups,
                    ffi::AnyBuffer image, ffi::AnyBuffer gradient,
                    ffi::Result<ffi::AnyBuffer> kernel) {
  Crew crew(pool);
  return Run<OfKernel>(
      m, image.element_type(), groups, [&](auto matrices, auto type, int64_t group) {
        using T = decltype(type);
        KernelGradient<decltype(matrices)>(crew, VolumeOf<T>(image, group, groups),
                                           VolumeOf<T>(gradient, group, groups),
                                           KernelOf<float>(*kernel, group, groups),
                                           TilesOf(gradient, m, padding));
      });
}

auto Binding() {
  return ffi::Ffi::Bind()
      .Ctx<ffi::ThreadPool>()
      .Attr<int64_t>("m")
      .Attr<Numbers>("padding")
      .Attr<int64_t>("groups")
      .Arg<ffi::AnyBuffer>()
      .Arg<ffi::AnyBuffer>()
      .Ret<ffi::AnyBuffer>();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(CnnJaxWinograd, Convolution, Binding());
XLA_FFI_DEFINE_HANDLER_SYMBOL(CnnJaxWinogradGradient, Gradient, Binding());

// Whether the processor has what float32 needs; bfloat16 needs CnnJaxHasBfloat16, too.
extern "C" int CnnJaxHasAvx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
