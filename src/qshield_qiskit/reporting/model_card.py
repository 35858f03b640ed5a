"""The card of a model that leaves its run: what it is, what it withstands, and how to make it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from qshield_qiskit.errors import InputError
from qshield_qiskit.reporting.commands import robustness_commands
from qshield_qiskit.reporting.results import results
from qshield_qiskit.reporting.results_table import markdown
from qshield_qiskit.reporting.robustness import RobustRun
from qshield_qiskit.reporting.titles import ball_title, radius_title


def model_card(run: RobustRun, training_command: str, name: str, loading_call: str) -> str:
    """Write a model card in the hub's format: metadata, then the table of attacks under its verdict.

    Args:
        run: The attacked run.
        training_command: What to type to train it again.
        name: Of the model.
        loading_call: What to type in Python to load it.

    Returns:
        Markdown. No robustness figure stands on it without its verdict; where there are more, it says of which balls.

    Raises:
        InputError: There is no attack yet, or no verdict on the backend and within the ball of any.
    """
    every = results([run], ["; ".join([training_command, *robustness_commands(run)])])
    items = [item for item in every if item["verdict"] is not None]
    if not items:
        path, radius = run.folder.path, radius_title(every[0]["epsilon"])
        raise InputError(
            f"{path}: no verdict yet on {every[0]['backend']} within {radius}, and no figure leaves without one; type: "
            f"qshield verdict {path} attack.epsilon={radius}"
        )
    dataset = str(items[0]["dataset"])
    metrics = run.metrics
    data = ModelCardData(
        license="apache-2.0",
        library_name="qshield-qiskit",
        tags=["quantum-machine-learning", "qiskit", "adversarial-robustness"],
        datasets=[dataset],
        model_name=name,
        eval_results=[
            EvalResult(
                task_type="image-classification",
                dataset_type=dataset,
                dataset_name=dataset,
                metric_type="accuracy",
                metric_value=round(float(metrics["odr"]), 4),
            )
        ],
    )
    low, high = (100 * float(metrics[key]) for key in ("odr_low", "odr_high"))
    lines = [
        "---",
        data.to_yaml(),
        "---",
        "",
        f"# {name}",
        "",
        f"{run.description}; {metrics['parameters']:,} parameters, seed {metrics['seed']}. Clean accuracy "
        f"{100 * float(metrics['odr']):.1f} % (n = {metrics['n']:,}, 95 % interval {low:.1f} to {high:.1f}).",
        "",
        "```python",
        "import qshield_qiskit as qs",
        "",
        f"model = {loading_call}  # images in [0, 1] to logits",
        "```",
        "",
        "*No masking detected* does not mean robust: it means that the ways of fooling oneself that the verdict tries "
        "were not found.",
        "",
        *_left_out(every),
    ]
    return (
        "\n".join(lines)
        + "\n"
        + markdown("What it withstands", items).replace("\n## ", "\n### ").replace("# What", "## What", 1)
    )


def _left_out(every: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the balls whose figures have no verdict."""
    balls = dict.fromkeys(
        f"{ball_title('linf', item['epsilon'])} on {item['backend']}"
        for item in every
        if item["verdict"] is None
    )
    if not balls:
        return []
    return [
        f"It was attacked within {', '.join(balls)} too; there is no verdict there, so no figure here.",
        "",
    ]
