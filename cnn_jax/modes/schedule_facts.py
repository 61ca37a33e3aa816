"""What --dry_run prints on the steps of a run, here or on TPU slices."""

from collections.abc import Iterable

from cnn_jax import config
from cnn_jax.analysis import structure
from cnn_jax.experiment import Plan


def training_flops(plan: Plan, forward: int) -> int:
    """Floating-point operations of a whole run, by the formula; a multiply-add counts as two.

    Args:
      plan: The run's plan.
      forward: Those of an image's forward pass.
    """
    return plan.forward_passes * forward * plan.examples(plan.total_steps)


def run_costs(plans: Iterable[Plan]) -> list[tuple[int, int]]:
    """The steps and the floating-point operations of each run; a net is traced once."""
    forward: dict[str, int] = {}
    costs = []
    for plan in plans:
        net = f"{config.to_text(plan.model)} {plan.data.image_shape}"
        if net not in forward:
            forward[net] = structure.forward_flops(plan.model, plan.data.image_shape)
        costs.append((plan.total_steps, training_flops(plan, forward[net])))
    return costs


def peta(flops: int) -> str:
    """A number of operations for people, such as "0.00298 P"."""
    return f"{flops / 1e15:.3g} P"


def schedule_facts(plan: Plan, devices: int) -> dict[str, str]:
    """The steps, the learning rate and the last batch of an epoch.

    Args:
      plan: The run's plan.
      devices: Number of devices.
    """
    experiment = plan.experiment
    return {
        "last batch of an epoch": _last_batch(plan, devices),
        "steps": f"{plan.total_steps:,} ({plan.steps_per_epoch:,} an epoch, "
        f"{experiment.epochs:g} epochs)",
        "learning rate": f"{plan.learning_rate(0):g} at first, peak "
        f"{experiment.optimizer.peak(experiment.batch_size):g}",
    }


def _last_batch(plan: Plan, devices: int) -> str:
    batch_size = plan.experiment.batch_size
    images = plan.data.train % batch_size
    if not images:
        return f"{batch_size:,} images, like the others"
    if plan.experiment.drop_last:
        return f"{images:,} images, left out (drop_last=True)"
    if not plan.partial_batch:
        return f"{images:,} images, after the end of the run"
    spread = f"; on each of the {devices} devices, which do not divide it"
    return f"{images:,} images, a step of its own{spread if images % devices else ''}"
