"""What an attack sees of a model: averages over draws, stand-ins for gradients, and every query counted."""

from __future__ import annotations

import math

import pytest
import torch
from classifiers import Counting, Detached, Noisy, images_and_labels, small_cnn, trained_cnn
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qshield_qiskit.errors import InputError
from qshield_qiskit.robustness.attacked_model import AttackedModel, expected_prediction, predict


def gradient(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    leaf = images.clone().requires_grad_()
    return torch.autograd.grad(cross_entropy(model(leaf), labels), leaf)[0]


def test_one_draw_is_the_model_itself():
    images, labels = images_and_labels(6)
    model = trained_cnn()
    torch.testing.assert_close(AttackedModel(model)(images), model(images), rtol=0, atol=0)
    torch.testing.assert_close(
        gradient(AttackedModel(model), images, labels), gradient(model, images, labels), rtol=0, atol=0
    )


def test_the_expected_prediction_is_the_mean_of_the_probabilities():
    draws = [torch.randn(5, 4, dtype=torch.float64) * 10 for _ in range(7)]
    mean = torch.stack([draw.softmax(1) for draw in draws]).mean(0)
    torch.testing.assert_close(expected_prediction(draws).exp(), mean, rtol=1e-12, atol=0)


def test_the_expected_prediction_of_logits_that_overflow_is_finite():
    draws = [torch.tensor([[1e4, 0.0]]), torch.tensor([[0.0, 1e4]])]
    assert expected_prediction(draws).tolist() == [[pytest.approx(math.log(0.5))] * 2]


def test_eot_takes_the_gradient_of_the_expected_prediction():
    images, labels = images_and_labels(6)
    images, noisy = images.double(), Noisy(trained_cnn().double(), 1.0)
    torch.manual_seed(0)
    averaged = gradient(AttackedModel(noisy, eot=8), images, labels)
    torch.manual_seed(0)
    leaf = images.clone().requires_grad_()
    mean = torch.stack([noisy(leaf).softmax(1) for _ in range(8)]).mean(0)
    (by_hand,) = torch.autograd.grad(-mean.gather(1, labels[:, None]).log().mean(), leaf)
    torch.testing.assert_close(averaged, by_hand, rtol=1e-9, atol=1e-12)


def test_eot_approaches_the_exact_gradient():
    images, labels = images_and_labels(6)
    model = trained_cnn()
    errors = []
    for draws in (1, 256):
        torch.manual_seed(1)
        found = gradient(AttackedModel(Noisy(model, 0.3), eot=draws), images, labels)
        errors.append(float((found - gradient(model, images, labels)).norm()))
    assert errors[1] < errors[0]


@pytest.mark.parametrize("eot", [1, 3])
def test_queries_and_gradients_are_counted_for_every_draw(eot):
    images, labels = images_and_labels(6)
    model = AttackedModel(trained_cnn(), eot=eot)
    predict(model, images, batch_size=4)
    assert (model.queries, model.gradients) == (6 * eot, 0)
    gradient(model, images, labels)
    assert (model.queries, model.gradients) == (12 * eot, 6 * eot)


def test_bpda_has_the_models_values_and_the_stand_ins_gradients():
    images, labels = images_and_labels(6)
    torch.manual_seed(0)
    model, stand_in = trained_cnn(), small_cnn().eval()
    mixed = AttackedModel(model, differentiable=stand_in)
    torch.testing.assert_close(mixed(images), model(images), rtol=1e-6, atol=1e-6)
    logits = model(images).detach().requires_grad_()
    (outer,) = torch.autograd.grad(cross_entropy(logits, labels), logits)
    leaf = images.clone().requires_grad_()
    (by_hand,) = torch.autograd.grad(stand_in(leaf), leaf, outer)
    torch.testing.assert_close(gradient(mixed, images, labels), by_hand, rtol=1e-4, atol=1e-7)


def test_a_model_without_a_gradient_has_a_zero_one_and_says_so():
    images, labels = images_and_labels(6)
    cnn = trained_cnn().requires_grad_(False)  # as attacks have it
    model = AttackedModel(Detached(cnn))
    predict(model, images, batch_size=6)
    assert model.follows  # nobody asked yet
    assert not gradient(model, images, labels).any()
    assert not model.follows
    torch.testing.assert_close(predict(model, images, 6), predict(cnn, images, 6), rtol=0, atol=0)


def test_weights_outside_the_model_are_no_path_to_the_pixels():
    images, labels = images_and_labels(6)
    weight = torch.randn(64, 10, requires_grad=True)
    for see, follows in ((Tensor.detach, False), (Tensor.clone, True)):

        class Listed(nn.Module):
            def forward(self, pixels, see=see):
                return see(pixels).flatten(1) @ weight

        for precision in (torch.float32, torch.float64):  # cast on its way to the model, or not
            model = AttackedModel(Listed())
            found = gradient(model, images.to(precision), labels)
            assert (model.follows, bool(found.any())) == (follows, follows)


@pytest.mark.parametrize("grad", [False, True])
def test_a_stand_in_is_asked_for_gradients_only(grad):
    images, labels = images_and_labels(6)
    stand_in = Counting(trained_cnn())
    model = AttackedModel(trained_cnn(), differentiable=stand_in)
    if grad:
        gradient(model, images, labels)
        assert stand_in.queries == 6
    with torch.no_grad():
        model(images.clone().requires_grad_())
    torch.testing.assert_close(model(images), trained_cnn()(images), rtol=0, atol=0)
    assert stand_in.queries == 6 * grad


def test_an_answer_that_is_no_tensor_is_one_line():
    class Pair(nn.Module):
        def forward(self, images):
            return images.flatten(1), None

    with pytest.raises(InputError, match="answers with a tuple: expected a tensor"):
        AttackedModel(Pair())(images_and_labels(2)[0])


def test_images_of_any_precision_come_to_the_model_in_its_own():
    images, _ = images_and_labels(3)
    assert AttackedModel(trained_cnn())(images.double()).dtype == torch.float32
    assert AttackedModel(trained_cnn().double())(images).dtype == torch.float64
    assert AttackedModel(nn.Flatten())(images.double()).dtype == torch.float32  # it has none of its own


def test_batches_do_not_matter_to_a_prediction():
    images, _ = images_and_labels(7)
    model = trained_cnn()
    torch.testing.assert_close(predict(model, images, 2), predict(model, images, 7), rtol=1e-5, atol=1e-5)


def test_at_least_one_draw():
    with pytest.raises(InputError, match="eot=0"):
        AttackedModel(trained_cnn(), eot=0)
