"""All-CNN-C on CIFAR-10.   python run.py --config=cifar10_allcnn

Published: 92.75 % (Springenberg et al. 2014, arXiv:1412.6806, table 3).

All 50,000 training images, 350 epochs, the learning rate divided by 10 after 200, 250 and 300
epochs, coupled weight decay 0.001, shifts of up to 5 pixels and flips. The publication also whitens
the images, and uses the best of the rates 0.25, 0.1, 0.05 and 0.01 without naming it; this recipe
uses 0.01.
"""

from cnn_jax.augment import Flip, RandomCrop
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import AllCNN
from cnn_jax.optim import SGD, MultiStep

experiment = Experiment(
    data=Cifar10(validation=0),
    model=AllCNN(),
    loss=Softmax(),
    augment=(RandomCrop(padding=5), Flip()),
    optimizer=SGD(peak_lr=0.01, per_batch=128, momentum=0.9, weight_decay=1e-3),
    schedule=MultiStep(milestones=(200 / 350, 250 / 350, 300 / 350), gamma=0.1),
    batch_size=128,
    epochs=350,
)
