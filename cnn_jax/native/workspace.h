// Memory that operations keep from one call to the next.

#pragma once

#include <cstddef>
#include <memory>
#include <new>

class Workspace {
 public:
  // At least as many bytes, aligned for vectors.
  void* AtLeast(size_t bytes) {
    if (bytes > bytes_) {
      memory_.reset();  // before the larger one, so that both are never held
      bytes_ = 0;
      memory_.reset(static_cast<char*>(operator new(bytes, std::align_val_t(64))));
      bytes_ = bytes;
    }
    return memory_.get();
  }

 private:
  struct Delete {
    void operator()(char* memory) const { operator delete(memory, std::align_val_t(64)); }
  };
  std::unique_ptr<char, Delete> memory_;
  size_t bytes_ = 0;
};
