"""airbench96 on CIFAR-10.   python run.py --config=cifar10_airbench96

Published: 96.03 % (n=400; github.com/KellerJordan/cifar10-airbench).

All 50,000 training images, 1,776 steps of 1024. Each epoch draws new crops, mirrors the images of
the last and cuts out a square (Cutout). The publication computes in half precision.
"""

from cnn_jax.augment import AlternatingFlip, Cutout, RandomCrop
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import Airbench96
from cnn_jax.optim import Linear, LookaheadSGD

# As published: the rate is for the total step under a constant gradient, momentum included, and the
# decay is the amount subtracted in a step of 1024 images.
RATE, DECAY, MOMENTUM = 9.0, 0.012, 0.85

experiment = Experiment(
    data=Cifar10(validation=0),
    model=Airbench96(),
    loss=Softmax(label_smoothing=0.2),
    augment=(
        RandomCrop(padding=4, fill="reflect"),
        AlternatingFlip(),
        Cutout(size=12, color=(125, 123, 114), whole=True),
    ),
    optimizer=LookaheadSGD(
        peak_lr=RATE / (1 + 1 / (1 - MOMENTUM)),
        per_batch=1024,
        momentum=MOMENTUM,
        weight_decay=DECAY / RATE,
        bias_factor=64.0,
        whitening_until=3 / 37,
        interval=5,
        slow_decay=0.95**5,
    ),
    # Warm-up for 10 % of the 1,776 steps, rounded down, in epochs of 48 steps.
    schedule=Linear(warmup=177 / 48, warmup_start=0.2),
    batch_size=1024,
    epochs=37,
    tta="mirror_translate",
)
