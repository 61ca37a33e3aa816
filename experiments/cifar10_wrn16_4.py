"""WRN-16-4 on CIFAR-10.   python run.py --config=cifar10_wrn16_4

Published: none that we could verify.

The settings of arXiv:1605.07146: all 50,000 training images, 200 epochs of SGD with Nesterov
momentum, the rate times 0.2 after 60, 120 and 160, coupled weight decay on all parameters, no
dropout. Crops use reflection padding.
"""

from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import WRN16_4
from cnn_jax.optim import SGD, MultiStep

experiment = Experiment(
    data=Cifar10(validation=0),
    model=WRN16_4(),
    loss=Softmax(),
    augment=(RandomCrop(padding=4, fill="reflect"), Flip()),
    optimizer=SGD(peak_lr=0.1, per_batch=128, momentum=0.9, nesterov=True, weight_decay=5e-4),
    schedule=MultiStep(milestones=(0.3, 0.6, 0.8), gamma=0.2),
    batch_size=128,
    epochs=200,
)
