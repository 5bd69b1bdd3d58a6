"""Previous mattes to train with are right often enough to help, and wrong often enough not to be believed."""
import torch

from builtin import priors
from builtin.network import Network


def discs(count: int) -> torch.Tensor:
    columns, rows = torch.meshgrid(torch.linspace(-1, 1, 96), torch.linspace(-1, 1, 96), indexing="xy")
    centres = torch.rand(count, 2, 1, 1) - 0.5
    return (((columns - centres[:, 0]) ** 2 + (rows - centres[:, 1]) ** 2) < 0.2).float()[:, None]


def test_they_are_mattes_of_the_same_size():
    torch.manual_seed(3)
    truths = discs(64)
    mattes = priors.previous(truths)
    assert mattes.shape == truths.shape and torch.isfinite(mattes).all() and mattes.min() >= 0 and mattes.max() <= 1


def test_some_are_missing_most_are_near_and_some_are_wrong():
    torch.manual_seed(4)
    truths = discs(600)
    mattes = priors.previous(truths)
    missing = (mattes.amax((1, 2, 3)) == 0).float().mean()
    error = (mattes - truths).abs().mean((1, 2, 3))
    assert abs(missing - priors.MISSING) < 0.08
    assert 0.25 < (error < 0.03).float().mean() < 0.75
    assert 0.1 < (error > 0.08).float().mean() - missing


def test_a_network_with_memory_begins_as_one_without():
    torch.manual_seed(5)
    plain, remembering = Network().eval(), Network(True).eval()
    remembering.load_state_dict(remembering.state_dict() | plain.state_dict())
    picture = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(plain(picture), remembering(picture, torch.rand(1, 1, 64, 96)))
