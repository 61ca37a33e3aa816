"""ConvMixer-256/8 on CIFAR-10.   python run.py --config=cifar10_convmixer

Published: 92.5 to 92.6 % (github.com/locuslab/convmixer-cifar10).

All 50,000 training images, flips and RandAugment, 25 epochs of AdamW with 10 epochs of warm-up.
After it the learning rate falls linearly to zero; the publication's falls to a twentieth in 10
epochs and to zero in the last 5, and it computes in half precision.
"""

from cnn_jax.augment import Flip, RandAugment
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import ConvMixer256_8
from cnn_jax.optim import AdamW, Linear

experiment = Experiment(
    data=Cifar10(validation=0),
    model=ConvMixer256_8(),
    loss=Softmax(),
    augment=(Flip(), RandAugment(operations=2, magnitude=12, fill=0)),
    optimizer=AdamW(peak_lr=0.05, weight_decay=0.005),
    schedule=Linear(warmup=10),
    batch_size=512,
    epochs=25,
)
