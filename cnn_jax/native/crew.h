// The threads of XLA, for the work of one operation, and how it is divided.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "xla/ffi/api/ffi.h"

// Both rounded up.
inline int64_t Quotient(int64_t size, int64_t step) { return (size + step - 1) / step; }
inline int64_t RoundUp(int64_t size, int64_t step) { return Quotient(size, step) * step; }

// Runs work(i, slot) for all i < count on XLA's threads, this one included; slot < threads().
// No thread waits for one that has not begun, so that it also ends if all others are busy.
class Crew {
 public:
  explicit Crew(xla::ffi::ThreadPool pool)
      : pool_(pool), threads_(std::max<int64_t>(1, pool.num_threads())) {}

  int64_t threads() const { return threads_; }

  void ForEach(int64_t count, const std::function<void(int64_t, int64_t)>& work) {
    struct Progress {
      std::atomic<int64_t> next{0}, done{0}, slots{0};
    };
    const auto progress = std::make_shared<Progress>();
    const auto take_part = [progress, count, &work] {
      const int64_t slot = progress->slots++;
      for (int64_t i; (i = progress->next++) < count; progress->done++) work(i, slot);
    };
    for (int64_t i = 1; i < std::min(threads_, count); i++) {
      pool_.Schedule(std::function<void()>(take_part));
    }
    take_part();
    while (progress->done < count) std::this_thread::yield();
  }

 private:
  xla::ffi::ThreadPool pool_;
  int64_t threads_;
};
