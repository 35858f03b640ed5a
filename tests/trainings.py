"""What the tests of training share: a small model, settings, and a user who presses Ctrl-C."""

import os
import signal
import subprocess
import sys
import threading

import torch

from qshield_qiskit.catalog import load_backend, load_circuit
from qshield_qiskit.config import TrainingSettings
from qshield_qiskit.models.hybrid import HybridClassifier


def make(dataset, *, seed=0, backbone="dnn", branch="circuit", **options):
    torch.manual_seed(seed)
    return HybridClassifier(
        load_circuit("full", 4),
        load_backend("aer_noisy", 4),
        num_classes=dataset.num_classes,
        input_shape=dataset.shape,
        backbone=backbone,
        branch=branch,
        **options,
    )


def some(**options):
    return TrainingSettings(**{"epochs": 2, "batch_size": 32, "accelerator": "cpu", "threads": 1} | options)


def same(one, other):
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(name == name_too and torch.equal(a, b) for (name, a), (name_too, b) in pairs)


def run_alone(script):
    """Run a script in a process of its own; torch does not warn there of a machine that cannot look up its own name."""
    quiet = {**os.environ, "TORCH_CPP_LOG_LEVEL": "ERROR"}
    words = [sys.executable, script]
    return subprocess.run(
        words, cwd=script.parent, env=quiet, capture_output=True, text=True, timeout=600, check=False
    )


class Interrupting(HybridClassifier):
    """A model during whose n-th training step the user presses Ctrl-C, or another signal comes."""

    @classmethod
    def after(cls, model, steps, signum=signal.SIGINT):
        model.__class__ = cls
        model.steps_left, model.signum = steps, signum
        return model

    def branches(self, images):
        self.steps_left -= self.training
        if self.steps_left == 0:
            os.kill(os.getpid(), self.signum)
            threading.Event().wait(1)  # the signal arrives here
        return super().branches(images)
