"""The paper's channels, against their action on the Bloch vector."""

import numpy as np
import pytest
from qiskit.quantum_info import PTM
from qiskit_aer import AerSimulator

from qshield_qiskit import catalog
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.channels import CHANNELS, paper_channel


def depolarizing(p):
    return np.diag([1, *[1 - 4 * p / 3] * 3])


def amplitude_damping(p):
    matrix = np.diag([1, np.sqrt(1 - p), np.sqrt(1 - p), 1 - p])
    matrix[3, 0] = p
    return matrix


def phase_damping(p):
    return np.diag([1, np.sqrt(1 - p), np.sqrt(1 - p), 1])


def mixed(p):
    return phase_damping(0.3 * p) @ amplitude_damping(0.3 * p) @ depolarizing(0.4 * p)


@pytest.mark.parametrize(
    "channel", [depolarizing, amplitude_damping, phase_damping, mixed], ids=lambda c: c.__name__
)
@pytest.mark.parametrize("p", [0, 0.005, 0.3, 1])
def test_what_a_channel_does_to_the_bloch_vector(channel, p):
    np.testing.assert_allclose(PTM(paper_channel(channel.__name__, p)).data, channel(p), atol=1e-12)


def test_no_channel_is_left_out():
    assert set(CHANNELS) == {"depolarizing", "amplitude_damping", "phase_damping", "mixed"}


@pytest.mark.parametrize("p", [-0.1, 1.5, float("nan")])
def test_a_strength_that_is_no_probability(p):
    with pytest.raises(InputError, match="is no probability; it lies in"):
        catalog.load_backend("paper_noise", 2, p=p)


def test_an_unknown_channel():
    with pytest.raises(InputError, match="no such channel: 'dephasing'"):
        catalog.load_backend("paper_noise", 2, channel="dephasing")


@pytest.mark.parametrize("reps", [1, 3])
def test_the_channel_acts_once_a_layer_on_every_qubit(reps):
    """Without gates, n layers of amplitude damping leave |1> with probability (1 - p)^n."""
    backend = catalog.load_backend("paper_noise", 2, channel="amplitude_damping", p=0.2)
    template = catalog.load_circuit("none", 2, reps=reps, encoding="angle", ansatz="none")
    circuit = backend.transpile(template.circuit).assign_parameters([np.pi, np.pi])
    circuit.save_density_matrix()
    result = backend.simulator().run(circuit).result().data()["density_matrix"]
    stays = 0.8**reps
    np.testing.assert_allclose(
        result.probabilities(),
        [(1 - stays) ** 2, stays * (1 - stays), stays * (1 - stays), stays**2],
        atol=1e-12,
    )
    assert isinstance(backend.simulator(), AerSimulator)
