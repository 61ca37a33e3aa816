"""A multilayer perceptron on CIFAR-10.   python run.py --config=cifar10_mlp

Published: none.

The baseline of docs/lesson.md: each neuron of the first layer is connected to every pixel and has
3072 weights. Data, schedule and number of epochs are those of the lesson's ConvNets; the learning
rate is the best of 0.000125, 0.00025, 0.0005, 0.001, 0.002 and 0.004 on the validation set, in runs
of two epochs.
"""

from cnn_jax.augment import Flip
from cnn_jax.data import Cifar10
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import MLP
from cnn_jax.optim import AdamW, Cosine

experiment = Experiment(
    data=Cifar10(),
    model=MLP(),
    loss=Softmax(),
    augment=(Flip(),),
    optimizer=AdamW(peak_lr=0.00025, per_batch=64),
    schedule=Cosine(),
    batch_size=64,
    epochs=6,
)
