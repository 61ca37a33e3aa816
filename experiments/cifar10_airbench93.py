"""airbench93 on CIFAR-10.   python run.py --config=cifar10_airbench93

Published: 93.00 % (n=50; github.com/KellerJordan/cifar10-airbench).

All 50,000 training images, 528 steps of 1024. Each epoch draws new crops and mirrors the images of
the last. The publication computes in half precision, starts lookahead in the fourth epoch and also
returns to the slow weights at the end of each epoch.
"""

from cnn_jax.augment import AlternatingFlip, RandomCrop
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import Airbench93
from cnn_jax.optim import Linear, LookaheadSGD

# As published: the rate is for the total step under a constant gradient, momentum included, and the
# decay is the amount subtracted in a step of 1024 images.
RATE, DECAY, MOMENTUM = 11.5, 0.0153, 0.85

experiment = Experiment(
    data=Cifar10(validation=0),
    model=Airbench93(),
    loss=Softmax(label_smoothing=0.2),
    augment=(RandomCrop(padding=2, fill="reflect"), AlternatingFlip()),
    optimizer=LookaheadSGD(
        peak_lr=RATE / (1 + 1 / (1 - MOMENTUM)),
        per_batch=1024,
        momentum=MOMENTUM,
        weight_decay=DECAY / RATE,
        bias_factor=64.0,
        whitening_until=3 / 11,
        interval=5,
        slow_decay=0.95**5,
    ),
    # Warm-up for 23 % of the 528 steps, rounded down, in epochs of 48 steps.
    schedule=Linear(warmup=121 / 48, warmup_start=0.2, end=0.07),
    batch_size=1024,
    epochs=11,
    tta="mirror_translate",
)
