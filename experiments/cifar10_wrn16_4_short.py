"""WRN-16-4 on CIFAR-10 in 4 epochs.   python run.py --config=cifar10_wrn16_4_short

Published: none.

The published recipe, cifar10_wrn16_4, trains 200 epochs. This recipe uses one epoch of warm-up,
linear decay to zero and twice the learning rate (0.2), as is usual for short runs. It is not tuned.
"""

from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import WRN16_4
from cnn_jax.optim import SGD, Linear

experiment = Experiment(
    data=Cifar10(validation=0),
    model=WRN16_4(),
    loss=Softmax(),
    augment=(RandomCrop(padding=4, fill="reflect"), Flip()),
    optimizer=SGD(peak_lr=0.2, per_batch=128, momentum=0.9, nesterov=True, weight_decay=5e-4),
    schedule=Linear(warmup=1),
    batch_size=128,
    epochs=4,
)
