"""Layers, checks and the stage loop that the models share."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops, ranges
from cnn_jax.models.batch_norm import BatchNorm
from cnn_jax.runtime.batch_axis import BATCH_AXIS, is_split

# He et al. 2015, arXiv:1502.01852: variance 2 / fan-in, right for layers before a ReLU.
he_normal = nn.initializers.he_normal()


class Published(NamedTuple):
    """The images and classes for which a net's size is stated in tables.

    Attributes:
      image_shape: Height, width and channels.
      classes: Number of classes.
    """

    image_shape: tuple[int, int, int]
    classes: int


class Net(nn.Module):
    """Base class of every model in the package; checks that its fields are in range.

    A class for larger images than CIFAR-10's sets `published_on`.

    Raises:
      ValueError: a field is not in the range that its annotation declares; without one, an integer
        or an element of a tuple of integers is not positive.
    """

    published_on: ClassVar[Published] = Published((32, 32, 3), 10)

    def __post_init__(self):
        cls: Any = type(self)
        declared = ranges.declared(cls)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name, None)
            if field.name in declared:
                continue
            if isinstance(value, tuple | list) and all(type(part) is int for part in value):
                ranges.positives(**{field.name: value})
            elif type(value) is int:
                ranges.positive(**{field.name: value})
        ranges.check_fields(self)
        super().__post_init__()


def Conv(features: int, kernel_size: int | tuple[int, ...] = (3, 3), **options) -> nn.Conv:
    """`nn.Conv` with He initialisation and a convolution whose gradients are fast on a CPU."""
    usual = {"kernel_init": he_normal, "conv_general_dilated": ops.conv_general_dilated}
    return nn.Conv(features, kernel_size, **(usual | options))


def batch_norm(*, train: bool, **options) -> nn.BatchNorm:
    """`nn.BatchNorm` with PyTorch's default constants and statistics over the global batch.

    Two things differ from PyTorch's. The running variance of n values is the biased one,
    (n - 1) / n times PyTorch's. The variance is E[x^2] - E[x]^2, which loses digits where the mean
    is far from 0: at a mean of 1,000 standard deviations, outputs are wrong by 0.04.

    Where the batch is split over a named axis, the statistics are averaged over it. In training,
    where it is not split, its gradient is `ops.batch_norm`'s.
    """
    kind = BatchNorm if _normalises_fast(train) else nn.BatchNorm
    return kind(
        use_running_average=not train,
        momentum=options.pop("momentum", 0.9),
        axis_name=BATCH_AXIS if is_split() else None,
        **options,
    )


def moments(x: jax.Array, *, train: bool) -> ops.Moments | None:
    """The moments of a volume that several norms read, where `batch_norm` can be given them."""
    return ops.moments(x) if _normalises_fast(train) else None


def _normalises_fast(train: bool) -> bool:
    return train and not is_split() and ops.fast()


def whole_batch_statistics(
    call: Callable[..., Any], arguments: Any, options: Any, context: nn.module.InterceptorContext
) -> Any:
    """Lets `nn.BatchNorm` of any model take its statistics over all parts of a split batch.

    An interceptor for `nn.intercept_methods`: a model that does not know how its batch is split
    means the whole batch. Without it, each device would have its own statistics.
    """
    norm = context.module
    if isinstance(norm, nn.BatchNorm) and norm.axis_name is None and is_split():
        object.__setattr__(norm, "axis_name", BATCH_AXIS)  # a module's fields are frozen
    return call(*arguments, **options)


_WITH_BIAS = (nn.Conv, nn.ConvLocal, nn.ConvTranspose, nn.Dense, nn.DenseGeneral)


def biases_in_float32(
    call: Callable[..., Any], arguments: Any, options: Any, context: nn.module.InterceptorContext
) -> Any:
    """Lets the layers of any model add their biases in float32, and round the sum.

    An interceptor for `nn.intercept_methods`. A bias's gradient is a sum over all examples and
    places. In half precision a running sum of 65,536 ones stays at 256 or 512: biases would have
    gradients that are a tenth to a half too small (`in_float32`).
    """
    layer = context.module
    if not (isinstance(layer, _WITH_BIAS) and context.method_name == "__call__" and layer.use_bias):
        return call(*arguments, **options)
    promote, dtypes = layer.promote_dtype, []

    def all_but_the_bias(inputs, kernel, bias, **promotion):
        inputs, kernel, bias = promote(inputs, kernel, bias, **promotion)
        dtypes.append(inputs.dtype)
        return inputs, kernel, bias.astype(jnp.promote_types(bias.dtype, jnp.float32))

    object.__setattr__(layer, "promote_dtype", all_but_the_bias)  # a module's fields are frozen
    try:
        return call(*arguments, **options).astype(dtypes[-1])
    finally:
        object.__setattr__(layer, "promote_dtype", promote)


def in_float32(
    operation: Callable[[jax.Array, jax.Array], jax.Array], volume: jax.Array, shared: jax.Array
) -> jax.Array:
    """Adds or multiplies a volume and an array that its places share, in float32.

    The result has the volume's precision. The shared array's gradient is a sum over the places,
    which half precision would get wrong.
    """
    return operation(volume.astype(jnp.float32), shared.astype(jnp.float32)).astype(volume.dtype)


def scores(num_classes: int | None, **options) -> nn.Dense:
    """The last layer: f[B,N] -> f32[B,K], always computed in float32.

    With `precision="bfloat16"`, its kernel and bias are rounded to bfloat16 like all other
    parameters; products, sums and scores are float32.

    Raises:
      ValueError: `num_classes` is None; `Plan` fills it in from the data.
    """
    if num_classes is None:
        raise ValueError(
            "num_classes must be set before a model is used: Plan takes it from the data"
        )
    return nn.Dense(num_classes, dtype=jnp.float32, **options)


def depths(period: int, rest: int) -> ranges.Range:
    """The depths of a residual net: `period` times a positive number, plus `rest`."""
    examples = ", ".join(str(period * n + rest) for n in (1, 2, 3))
    wanted = f"{period}n+{rest} ({examples}, ...)"
    return ranges.Range(wanted, lambda depth: depth % period == rest and depth > rest)


def stages(blocks: Sequence[int], width: int) -> Iterator[tuple[int, int]]:
    """Yields the width and the stride of each block of a residual net.

    The first block of each later stage halves the height and width and doubles the filters.

    Args:
      blocks: Number of blocks in each stage.
      width: Filters of the first stage.
    """
    for stage, count in enumerate(blocks):
        for block in range(count):
            yield width * 2**stage, 2 if stage > 0 and block == 0 else 1


def projection(x: jax.Array, like: jax.Array, stride: int) -> jax.Array:
    """Projects a volume to another one's depth by a 1x1 convolution: f[B,H,W,C] -> f[B,H',W',D]."""
    filters = like.shape[-1]
    return Conv(filters, kernel_size=(1, 1), strides=stride, use_bias=False)(x)


def shortcut(x: jax.Array, like: jax.Array, stride: int, active: jax.Array) -> jax.Array:
    """`x`, or a projection of its activation `active` if the output `like` has another shape."""
    return x if x.shape == like.shape else projection(active, like, stride)


def flatten(volume: jax.Array) -> jax.Array:
    """f32[B,H,W,C] -> f32[B,H*W*C]."""
    return volume.reshape(volume.shape[0], -1)
