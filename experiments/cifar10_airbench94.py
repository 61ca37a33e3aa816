"""airbench94 on CIFAR-10, with Muon.   python run.py --config=cifar10_airbench94

Published: 94.01 % (n=200; github.com/KellerJordan/cifar10-airbench).

All 50,000 training images, 200 steps of 2000. Each epoch draws new crops and mirrors the images of
the last. The publication computes in half precision.
"""

from cnn_jax.augment import AlternatingFlip, RandomCrop
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import Airbench94
from cnn_jax.optim import Linear, Muon

# Published rates are for the loss summed over the batch; these are for its mean.
BATCH_SIZE = 2000

experiment = Experiment(
    data=Cifar10(validation=0),
    model=Airbench94(),
    loss=Softmax(label_smoothing=0.2),
    augment=(RandomCrop(padding=2, fill="reflect"), AlternatingFlip()),
    optimizer=Muon(
        peak_lr=0.24,
        momentum=0.6,
        iterations=3,
        bias_lr=0.053 * BATCH_SIZE,
        head_lr=0.67 * BATCH_SIZE,
        sgd_per_batch=BATCH_SIZE,
        sgd_momentum=0.85,
        weight_decay=2e-6,
        whitening_until=3 / 8,
    ),
    schedule=Linear(),
    batch_size=BATCH_SIZE,
    epochs=8,
    tta="mirror_translate",
)
