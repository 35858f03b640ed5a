"""The card of a model that leaves its run: what it is, what it withstands, and how to make it again."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from qshield_qiskit.errors import InputError
from qshield_qiskit.reporting.commands import robustness_commands
from qshield_qiskit.reporting.results import results
from qshield_qiskit.reporting.results_table import markdown
from qshield_qiskit.reporting.robustness import RobustRun
from qshield_qiskit.reporting.titles import radius_title

MASKING = "masking detected"


def model_card(run: RobustRun, training_command: str, folder: Path) -> str:
    """Write a model card in the hub's format: metadata, then the table of attacks under its verdict.

    Args:
        run: The attacked run.
        training_command: What to type to train it again.
        folder: Where the model is, as it will be loaded.

    Returns:
        Markdown. No robustness figure stands on it without its verdict.

    Raises:
        InputError: There is no attack yet, or no verdict on the backend and within the ball of one.
    """
    items = results([run], ["; ".join([training_command, *robustness_commands(run)])])
    for item in items:
        if item["verdict"] is None:
            path, radius = run.folder.path, radius_title(item["epsilon"])
            raise InputError(
                f"{path}: no verdict yet on {item['backend']} within {radius}, and no figure leaves without one; type: "
                f"qshield verdict {path} attack.epsilon={radius}"
            )
    dataset = str(items[0]["dataset"])
    metrics = run.metrics
    data = ModelCardData(
        license="apache-2.0",
        library_name="qshield-qiskit",
        tags=["quantum-machine-learning", "qiskit", "adversarial-robustness"],
        datasets=[dataset],
        model_name=folder.name,
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
        f"# {folder.name}",
        "",
        f"{run.description}; {metrics['parameters']:,} parameters, seed {metrics['seed']}. Clean accuracy "
        f"{100 * float(metrics['odr']):.1f} % (n = {metrics['n']:,}, 95 % interval {low:.1f} to {high:.1f}).",
        "",
        "```python",
        "import qshield_qiskit as qs",
        "",
        f'model = qs.HybridClassifier.from_pretrained("{folder.as_posix()}")  # images in [0, 1] to logits',
        "```",
        "",
        "*No masking detected* does not mean robust: it means that the ways of fooling oneself that the verdict tries "
        "were not found.",
        "",
    ]
    return (
        "\n".join(lines)
        + "\n"
        + markdown("What it withstands", items).replace("\n## ", "\n### ").replace("# What", "## What", 1)
    )
