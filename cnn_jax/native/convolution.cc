// Convolution and its two gradients by oneDNN, as operations for XLA on a CPU.
//
// Images are [B,H,W,C] and kernels [h,w,C/G,K] in row-major order, as in JAX. oneDNN computes images
// in this order; kernels are small, and reordered to the form that it prefers at each call.

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"
#include "workspace.h"
#include "xla/ffi/api/ffi.h"

namespace {

namespace ffi = xla::ffi;
using dnnl::memory;
using Numbers = ffi::Span<const int64_t>;
using Operands = std::array<ffi::AnyBuffer, 3>;  // in the order of Operand

enum Direction : int64_t { kForward = 0, kImageGradient = 1, kKernelGradient = 2 };
// The operands of a convolution, or their gradients: one of them is the result.
enum Operand : int { kImage = 0, kKernel = 1, kOutput = 2 };
constexpr Operand kResult[] = {kOutput, kImage, kKernel};
constexpr int kNames[3][3] = {
    {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
    {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
    {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST},
};

dnnl::engine& Engine() {
  static auto* engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

memory::data_type TypeOf(ffi::AnyBuffer buffer) {
  return buffer.element_type() == ffi::DataType::BF16 ? memory::data_type::bf16
                                                      : memory::data_type::f32;
}

memory::dims Dims(ffi::AnyBuffer buffer, std::array<int, 4> order) {
  memory::dims dims;
  for (int axis : order) dims.push_back(buffer.dimensions()[axis]);
  return dims;
}

struct Convolution {
  dnnl::primitive primitive;
  std::array<memory::desc, 3> given;     // the operands as JAX has them
  std::array<memory::desc, 3> computed;  // the operands as oneDNN computes with them
  memory::desc scratchpad;
};

Convolution Make(Direction direction, const Operands& operands, Numbers strides, Numbers padding,
                 int64_t groups) {
  const memory::dims image = Dims(operands[kImage], {0, 3, 1, 2});
  const memory::dims output = Dims(operands[kOutput], {0, 3, 1, 2});
  memory::dims kernel = Dims(operands[kKernel], {3, 2, 0, 1});
  if (groups > 1) {
    kernel[0] /= groups;
    kernel.insert(kernel.begin(), groups);
  }
  const auto type = TypeOf(operands[direction == kForward ? kImage : kOutput]);
  const auto in_order = groups > 1 ? memory::format_tag::hwigo : memory::format_tag::hwio;
  const std::array<memory::desc, 3> given = {
      memory::desc(image, TypeOf(operands[kImage]), memory::format_tag::nhwc),
      memory::desc(kernel, TypeOf(operands[kKernel]), in_order),
      memory::desc(output, TypeOf(operands[kOutput]), memory::format_tag::nhwc),
  };
  const memory::desc any(kernel, TypeOf(operands[kKernel]), memory::format_tag::any);
  const memory::desc hint(kernel, type, memory::format_tag::any);
  const memory::dims steps(strides.begin(), strides.end());
  const memory::dims before = {padding[0], padding[2]}, after = {padding[1], padding[3]};
  const auto algorithm = dnnl::algorithm::convolution_direct;
  dnnl::primitive_attr ours;
  ours.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const dnnl::convolution_forward::primitive_desc forward(
      Engine(), dnnl::prop_kind::forward_training, algorithm, given[kImage], hint, given[kOutput],
      steps, before, after, ours);
  const auto made = [&](const auto& description) -> Convolution {
    std::array<memory::desc, 3> computed;
    for (int i = 0; i < 3; i++) {
      computed[i] = description.query_md(dnnl::query::exec_arg_md, kNames[direction][i]);
    }
    return {dnnl::primitive(description), given, computed, description.scratchpad_desc()};
  };
  switch (direction) {
    case kForward:
      return made(forward);
    case kImageGradient:
      return made(dnnl::convolution_backward_data::primitive_desc(
          Engine(), algorithm, given[kImage], any, given[kOutput], steps, before, after, forward,
          ours));
    case kKernelGradient:
      return made(dnnl::convolution_backward_weights::primitive_desc(
          Engine(), algorithm, given[kImage], any, given[kOutput], steps, before, after, forward,
          ours));
  }
  throw dnnl::error(dnnl_invalid_arguments, "no such direction of a convolution");
}

void Run(const Convolution& convolution, Direction direction, const Operands& operands) {
  static auto* stream = new dnnl::stream(Engine());
  static auto* spaces = new std::array<Workspace, 4>;
  std::array<memory, 3> given, computed;
  const Operand result = kResult[direction];
  for (int i = 0; i < 3; i++) {
    const memory::desc& wanted = convolution.computed[i];
    given[i] = memory(convolution.given[i], Engine(), operands[i].untyped_data());
    const bool same = wanted == convolution.given[i];
    computed[i] =
        same ? given[i] : memory(wanted, Engine(), (*spaces)[i].AtLeast(wanted.get_size()));
    if (!same && i != result) {
      dnnl::reorder(given[i], computed[i]).execute(*stream, given[i], computed[i]);
    }
  }
  const memory::desc& scratch = convolution.scratchpad;
  const int* names = kNames[direction];
  convolution.primitive.execute(
      *stream,
      {{names[kImage], computed[kImage]},
       {names[kKernel], computed[kKernel]},
       {names[kOutput], computed[kOutput]},
       {DNNL_ARG_SCRATCHPAD,
        memory(scratch, Engine(), (*spaces)[3].AtLeast(scratch.get_size()))}});
  if (convolution.computed[result] != convolution.given[result]) {
    dnnl::reorder(computed[result], given[result])
        .execute(*stream, computed[result], given[result]);
  }
  stream->wait();
}

ffi::Error Convolve(int64_t number, Numbers strides, Numbers padding, int64_t groups,
                    ffi::AnyBuffer first, ffi::AnyBuffer second,
                    ffi::Result<ffi::AnyBuffer> result) {
  // One at a time: each uses all cores, and the workspaces are shared.
  static auto* mutex = new std::mutex;
  static auto* made = new std::map<std::vector<int64_t>, Convolution>;
  const std::lock_guard<std::mutex> lock(*mutex);
  const auto direction = static_cast<Direction>(number);
  const Operands operands = direction == kForward         ? Operands{first, second, *result}
                            : direction == kImageGradient ? Operands{*result, first, second}
                                                          : Operands{first, *result, second};

  std::vector<int64_t> key = {number, groups};
  for (Numbers numbers : {strides, padding}) key.insert(key.end(), numbers.begin(), numbers.end());
  for (const ffi::AnyBuffer& operand : operands) {
    key.push_back(static_cast<int64_t>(operand.element_type()));
    key.insert(key.end(), operand.dimensions().begin(), operand.dimensions().end());
  }
  try {
    auto found = made->find(key);
    if (found == made->end()) {
      found = made->emplace(key, Make(direction, operands, strides, padding, groups)).first;
    }
    Run(found->second, direction, operands);
  } catch (const dnnl::error& error) {
    return ffi::Error::Internal(std::string("oneDNN: ") + error.what());
  } catch (const std::bad_alloc&) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted, "oneDNN: out of memory");
  }
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(CnnJaxConvolve, Convolve,
                              ffi::Ffi::Bind()
                                  .Attr<int64_t>("direction")
                                  .Attr<Numbers>("strides")
                                  .Attr<Numbers>("padding")
                                  .Attr<int64_t>("groups")
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Ret<ffi::AnyBuffer>());

// Whether the processor has instructions for bfloat16: without them, oneDNN is slow or refuses it.
extern "C" int CnnJaxHasBfloat16() {
  return dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_bf16;
}
