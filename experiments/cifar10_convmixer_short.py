"""ConvMixer-256/8 on CIFAR-10 in 2 epochs.   python run.py --config=cifar10_convmixer_short

Published: none.

cifar10_convmixer trains 25 epochs in batches of 512 with learning rate 0.05. This recipe uses
batches of 256 and learning rate 0.01, with one epoch of warm-up and then linear decay to zero. It
is not tuned.
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
    optimizer=AdamW(peak_lr=0.01, weight_decay=0.005),
    schedule=Linear(warmup=1),
    batch_size=256,
    epochs=2,
)
