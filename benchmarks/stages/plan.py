"""The tasks of the accelerator benchmark, in order of value."""

from typing import Any

from stages import correctness, machine, profiles, speedrun, throughput, trainings
from stages.task import Task


def _function(task: Task) -> Any:
    """The function of a task, whatever recipe it is for."""
    return getattr(task.run, "func", task.run)


TASKS = (
    Task("machine", 0, machine.run, limit=60),
    Task("correctness/step", 1, correctness.steps, limit=180, least=60),
    Task("correctness/resume", 1, correctness.resume, limit=90),
    Task("correctness/platforms", 1, correctness.platforms, limit=90),
    Task("correctness/memory", 1, correctness.memory, limit=60),
    Task("speedrun/airbench94", 2, speedrun.of("cifar10_airbench94"), limit=180, least=60),
    Task("speedrun/peers", 2, speedrun.peers, limit=400, least=120),
    Task("speedrun/process", 2, speedrun.process, limit=180, least=60),
    Task("speedrun/fast", 2, speedrun.of("cifar10_fast"), limit=180, least=60),
    *(
        Task(f"throughput/{recipe}", 3, throughput.of(recipe), limit=240, least=90)
        for recipe in throughput.NETS
    ),
    Task("training/cifar10_resnet18", 4, trainings.of("cifar10_resnet18"), limit=540, least=60),
    *(
        Task(f"training/cifar10_resnet20/{seed}", 4, trainings.of("cifar10_resnet20", seed), 540)
        for seed in range(3)
    ),
    Task("training/cifar10_airbench96", 4, trainings.of("cifar10_airbench96"), limit=540),
    Task("training/cifar10_wrn16_8", 4, trainings.of("cifar10_wrn16_8"), limit=540),
    Task("profile/cifar10_airbench94", 5, profiles.of("cifar10_airbench94"), limit=120),
    Task(
        "profile/cifar10_densenet_bc100_12", 5, profiles.of("cifar10_densenet_bc100_12"), limit=180
    ),
)

# One task for each function of a stage.
REHEARSED = tuple(
    task
    for number, task in enumerate(TASKS)
    if _function(task) not in map(_function, TASKS[:number])
)
