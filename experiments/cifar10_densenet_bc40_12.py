"""DenseNet-BC-40-12 on CIFAR-10.   python run.py --config=cifar10_densenet_bc40_12

Published: none.

The settings published for larger DenseNets (Huang et al. 2017, arXiv:1608.06993): all 50,000
training images, 300 epochs of SGD with Nesterov momentum in batches of 64, the rate divided by 10
after 150 and 225, coupled weight decay on all parameters, no dropout.
"""

from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import DenseNetBC40_12
from cnn_jax.optim import SGD, MultiStep

experiment = Experiment(
    data=Cifar10(validation=0),
    model=DenseNetBC40_12(),
    loss=Softmax(),
    augment=(RandomCrop(padding=4), Flip()),
    optimizer=SGD(peak_lr=0.1, per_batch=64, momentum=0.9, nesterov=True, weight_decay=1e-4),
    schedule=MultiStep(milestones=(0.5, 0.75), gamma=0.1),
    batch_size=64,
    epochs=300,
)
