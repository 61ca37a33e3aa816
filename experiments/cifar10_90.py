"""90 % on CIFAR-10 in four minutes on two CPU cores.   python run.py --config=cifar10_90

Published: none.

The recipe of `cifar10_fast` for a narrower net (71 instead of 211 MFLOP forward per image), in
smaller batches and half of the epochs: 0.041 instead of 0.243 PFLOP in all.
"""

from cnn_jax.augment import AlternatingFlip, Jitter, RandomCrop
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import Airbench94
from cnn_jax.optim import Linear, Muon

# Published rates are for a sum over this many images; the optimiser's are for the batch's mean.
RATES_PER_BATCH = 1536

experiment = Experiment(
    data=Cifar10(validation=0),
    model=Airbench94(widths=(48, 96, 192), momentum=0.5566, whitening_bias=False),
    loss=Softmax(label_smoothing=0.09),
    augment=(
        RandomCrop(padding=2, fill="reflect"),
        AlternatingFlip(),
        Jitter(brightness=0.14 * 0.25, contrast=0.13),
    ),
    optimizer=Muon(
        peak_lr=0.205,
        momentum=0.655,
        iterations=3,
        bias_lr=0.0573 * RATES_PER_BATCH,
        head_lr=0.5415 * RATES_PER_BATCH,
        sgd_per_batch=RATES_PER_BATCH,
        sgd_momentum=0.825,
        weight_decay=1.0418e-6,
    ),
    schedule=Linear(),
    batch_size=768,
    epochs=240 / 65,
    tta="mirror_translate",
)
