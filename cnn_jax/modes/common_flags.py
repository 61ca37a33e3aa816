"""The flags that every mode takes, and the text that --help starts with."""

from cnn_jax.config import Flag

USAGE = """Trains ConvNets on CIFAR-10 with JAX.

  python run.py                                          the quickstart recipe
  python run.py --config=cifar10_convnet --config.epochs=5 --workdir=runs/mine
  python run.py --config=my_recipe.py --config.model=ResNet20 --config.model.width=32
  python run.py --mode=evaluate --workdir=runs/mine [--robustness --examples=1000]
  python run.py --mode=evaluate --workdir=runs/mine '--config.data=Folder("labelled")'
  python run.py --mode=predict --workdir=runs/mine photo.png folder/
  python run.py --mode=explain --workdir=runs/mine --images=3,17
  python run.py --mode=export --workdir=runs/mine --output=mine
  python run.py --mode=predict --model=mine photo.png folder/
  python run.py --mode=report runs/mine runs/other
  python run.py --mode=compare runs/one runs/other
  python run.py --mode=search --space='optimizer.peak_lr=log(1e-3,1)' --trials=20
  python run.py --mode=volumes --config=cifar10_resnet20
  python run.py --mode=demo --workdir=runs/mine
  python run.py --mode=benchmark --config=cifar10_resnet20
  python run.py --dry_run --topology=v5e:4x4 --config=cifar10_wrn28_10
  python run.py --list

Flags of JAX and absl work too, as --jax_debug_nans or --jax_platforms=cpu; --helpfull lists them.
"""

ACTIONS = (
    Flag("config", str, "quickstart", "Recipe: a name in experiments/, or a path to a .py"),
    Flag("list", bool, False, "List the recipes and the models"),
    Flag("print_config", bool, False, "Print the resolved experiment as a recipe"),
    Flag(
        "dry_run",
        bool,
        False,
        "Print shapes, FLOPs, memory, steps, or the runs of a sweep or a search; train nothing",
    ),
    Flag(
        "topology",
        str | None,
        None,
        "With --dry_run: compile for a TPU slice that is not there, such as v5e:4x4, and predict",
    ),
    Flag("num_slices", int, 1, "With --topology: the number of slices", minimum=1),
)
PLACES = (
    Flag("workdir", str | None, None, "The run's folder; default: runs/RECIPE/TIME"),
    Flag(
        "data_dir",
        str | None,
        None,
        "Where TFDS data is; default: $TFDS_DATA_DIR, then ~/tensorflow_datasets",
    ),
    Flag(
        "compile_cache",
        str | None,
        None,
        "Where compiled programs are kept, or off; default: ~/.cache/cnn_jax/compiled",
    ),
)
PROCESS = (
    Flag(
        "cpu_tuning",
        bool,
        True,
        "Restart the process with malloc tuned for XLA on a CPU, unless GLIBC_TUNABLES is set",
    ),
    Flag(
        "deterministic",
        bool,
        False,
        "Give the same bits at every launch on a GPU too, at a cost in speed; a CPU always does",
    ),
)
