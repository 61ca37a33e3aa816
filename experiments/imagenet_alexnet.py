"""AlexNet on ImageNet.   python run.py --config=imagenet_alexnet

Published: 59.3 % (Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural
Networks", table 2, one net, on the validation set).

90 epochs of SGD with momentum and weight decay at a rate of 0.01, which is reduced three times.
Unlike published: the rate is reduced at fixed epochs, kernels start by He et al.'s rule, parts of
pictures are cropped at random scales instead of at 256 pixels, and colours are not changed.

ImageNet is found as in `imagenet_resnet50`.
"""

from cnn_jax.augment import Flip
from cnn_jax.data import FirstAvailable, RandomResizedCrop, Shapes, Tfds
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import AlexNet2012
from cnn_jax.optim import SGD, MultiStep

experiment = Experiment(
    data=FirstAvailable(
        (
            Tfds("imagenet2012", size=227, stream=True, crop=RandomResizedCrop()),
            Shapes(train=1000, validation=100, test=200, size=227),
        )
    ),
    model=AlexNet2012(),
    loss=Softmax(),
    augment=(Flip(),),
    optimizer=SGD(peak_lr=0.01, per_batch=128, momentum=0.9, weight_decay=5e-4),
    schedule=MultiStep(milestones=(0.3, 0.6, 0.85), gamma=0.1),
    batch_size=128,
    epochs=90,
)
