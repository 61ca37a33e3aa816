// Volumes that are read and written tile by tile.

#pragma once

#include <algorithm>
#include <cstdint>

#include "vectors.h"

struct Corner {
  int64_t image, y, x;
};

// The tiles of a batch of volumes: their corners are `side` pixels apart, the first one `top` and
// `left` pixels outside.
struct Tiles {
  int64_t batch, rows, columns, side, top, left;

  int64_t Count() const { return batch * rows * columns; }

  Corner At(int64_t tile) const {
    const int64_t row = tile / columns;
    return {row / rows, row % rows * side - top, tile % columns * side - left};
  }

  Tiles Unpadded() const { return {batch, rows, columns, side, 0, 0}; }
};

// Volumes f[B,H,W,C], of which `depth` channels, those of a group, are in use.
template <typename T>
struct Volume {
  T* values;
  int64_t height, width, depth, channels;

  // Reads a square of pixels, zero outside.
  template <int side>
  AVX512 void Read(Corner corner, int64_t channel, __m512* to) const {
    const __mmask16 mask = First(depth - channel);
    const T* first =
        values + ((corner.image * height + corner.y) * width + corner.x) * channels + channel;
    const bool inside = corner.y >= 0 && corner.x >= 0 && corner.y + side <= height &&
                        corner.x + side <= width;
    if (inside) {
      for (int i = 0; i < side; i++) {
        for (int j = 0; j < side; j++) {
          to[i * side + j] = Load(first + (i * width + j) * channels, mask);
        }
      }
      return;
    }
    for (int i = 0; i < side; i++) {
      const bool in_height = 0 <= corner.y + i && corner.y + i < height;
      for (int j = 0; j < side; j++) {
        const bool there = in_height && 0 <= corner.x + j && corner.x + j < width;
        to[i * side + j] =
            there ? Load(first + (i * width + j) * channels, mask) : _mm512_setzero_ps();
      }
    }
  }

  // Writes a square of pixels, those that are inside.
  template <int side>
  AVX512 void Write(Corner corner, int64_t channel, const __m512* from) const {
    const __mmask16 mask = First(depth - channel);
    const int64_t rows = std::min<int64_t>(side, height - corner.y);
    const int64_t columns = std::min<int64_t>(side, width - corner.x);
    for (int64_t i = 0; i < rows; i++) {
      T* row = values + ((corner.image * height + corner.y + i) * width + corner.x) * channels;
      for (int64_t j = 0; j < columns; j++) {
        Store(row + j * channels + channel, mask, from[i * side + j]);
      }
    }
  }
};
