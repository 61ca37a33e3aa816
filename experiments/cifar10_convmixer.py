"""ConvMixer-256/8 on CIFAR-10.   python run.py --config=cifar10_convmixer

Published: 92.60 % (github.com/locuslab/convmixer-cifar10).   Measured: see results/.

All 50,000 training images, 25 epochs of AdamW, the rate rising for 10 of them. The publication
augments by RandAugment and mirror images, here it is crops and mirror images; its rate falls to a
twentieth in the next 10 epochs and to zero in the last 5, here it falls evenly; and it computes in
half precision.
"""

from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import ConvMixer256_8
from cnn_jax.optim import AdamW, Linear

experiment = Experiment(
    data=Cifar10(validation=0),
    model=ConvMixer256_8(),
    loss=Softmax(),
    augment=(RandomCrop(padding=4), Flip()),
    optimizer=AdamW(peak_lr=0.05, weight_decay=0.005),
    schedule=Linear(warmup=10),
    batch_size=512,
    epochs=25,
)
