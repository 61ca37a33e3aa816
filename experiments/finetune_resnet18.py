"""Fine-tunes ResNet-18 on a folder of photos.   python run.py --config=finetune_resnet18

Published: none.

--config.data.path names the folder, and --config.init_from the weights, such as torchvision's:
docs/finetuning.md shows both. All but the stem is trained, at a tenth of the usual rate. Pixels are
normalised by ImageNet's statistics, which these weights expect.
"""

from cnn_jax.augment import Flip
from cnn_jax.data import Folder, RandomResizedCrop
from cnn_jax.data.pixel_normalization import Normalize
from cnn_jax.experiment import Experiment
from cnn_jax.losses import Softmax
from cnn_jax.models import ResNet18
from cnn_jax.optim import SGD, Cosine

experiment = Experiment(
    data=Folder("photos", size=224, stream=True, crop=RandomResizedCrop(scale=(0.35, 1.0))),
    model=ResNet18(stem="imagenet"),
    init_from="resnet18.safetensors",
    freeze=("Conv_0/*", "BatchNorm_0/*"),
    loss=Softmax(label_smoothing=0.1),
    augment=(Flip(),),
    normalize=Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    optimizer=SGD(peak_lr=0.01, per_batch=128, momentum=0.9, nesterov=True, weight_decay=1e-4),
    schedule=Cosine(warmup=0.5),
    batch_size=32,
    epochs=10,
    keep_best=True,
)
