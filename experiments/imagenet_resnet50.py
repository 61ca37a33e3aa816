"""ResNet-50 on ImageNet.   python run.py --config=imagenet_resnet50

Published: 76.40 % (Goyal et al. 2017, arXiv:1706.02677, batch size 256).

90 epochs of SGD with Nesterov momentum, the rate times 0.1 after 30, 60 and 80, weight decay on all
parameters, random-resized crops and flips. As published, the rate follows a larger batch size, for
which there is a warm-up of five epochs; the milestones are counted from its end. Unlike published,
the last BatchNorm of a block starts with a scale of 1, colours are not changed, and validation
pictures are resized to 224 pixels, not 256.

ImageNet is read from TFDS (`imagenet2012`, as array_record), or from a folder:
--config.data="Folder('/data/imagenet', size=224, stream=True, crop=RandomResizedCrop())". Without
it, training falls back to 1,000 images of `Shapes`, and reports it.
"""

from cnn_jax.augment import Flip
from cnn_jax.data import FirstAvailable, RandomResizedCrop, Shapes, Tfds
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import ResNet50
from cnn_jax.optim import SGD, MultiStep

experiment = Experiment(
    data=FirstAvailable(
        (
            Tfds("imagenet2012", size=224, stream=True, crop=RandomResizedCrop()),
            Shapes(train=1000, validation=100, test=200, size=224),
        )
    ),
    model=ResNet50(stem="imagenet"),
    loss=Softmax(),
    augment=(Flip(),),
    optimizer=SGD(peak_lr=0.1, per_batch=256, momentum=0.9, nesterov=True, weight_decay=1e-4),
    schedule=MultiStep(milestones=(25 / 85, 55 / 85, 75 / 85), gamma=0.1, warmup=5),
    batch_size=256,
    epochs=90,
)
