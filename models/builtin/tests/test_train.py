"""Training stops and goes on, and treats the encoder with care."""
from types import SimpleNamespace

import pytest
import torch

from builtin import feeding, paths, train, weights
from builtin.network import Network


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("DAVIDMATTE_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(paths, "WARM_START", tmp_path / "checkpoint.safetensors")
    encoder = {name: value for name, value in Network().state_dict().items() if name.split(".")[0] in ("stem", "bn0", "blocks")}
    monkeypatch.setattr(weights, "imagenet", lambda: encoder)
    return encoder


def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.rand(2, 3, 32, 32, generator=generator)
    return pictures, (pictures.mean(1, keepdim=True) > 0.5).float()


def fresh(from_project: bool = False) -> train.Trainer:
    trainer = train.Trainer(1e-3)
    trainer.load(from_project)
    return trainer


def same(first, second) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_training_begins_with_imagenet_s_encoder(folders):
    trainer = fresh()
    assert all(torch.equal(state[name], value) for state in (trainer.network.state_dict(), trainer.average.state_dict()) for name, value in folders.items())


def test_training_goes_on_as_if_it_had_not_stopped():
    trainer = fresh()
    trainer.since_start = train.WARM_UP  # a resumed training is not warmed up again
    trainer.step(*batch(0), 1e-3)
    trainer.save()
    trainer.step(*batch(1), 1e-3)
    resumed = fresh()
    assert (resumed.seen, resumed.steps) == (2, 1)
    resumed.step(*batch(1), 1e-3)
    assert same(trainer.network.state_dict(), resumed.network.state_dict()) and same(trainer.average.state_dict(), resumed.average.state_dict())
    assert (resumed.seen, resumed.steps) == (4, 2)


def test_without_a_checkpoint_the_project_s_weights_are_taken_where_wanted():
    weights.save(Network().state_dict(), {"seen": 70, "steps": 7}, paths.WARM_START)
    assert fresh(True).seen == 70 and fresh(False).seen == 0
    trainer = fresh(True)
    assert same(weights.load(paths.WARM_START)[0], trainer.network.state_dict())


def test_the_encoder_is_trained_slowly():
    network = Network()
    groups = train._parameter_groups(network)
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    share = {id(weight): group["share"] for group in groups for weight in group["params"]}
    assert share[id(network.stem.weight)] == share[id(network.blocks[3]._bn1.bias)] == train.ENCODER_RATE
    assert share[id(network.out.weight)] == share[id(network.reduce[0][1].bias)] == 1
    assert all(weight.ndim > 1 for group in groups if group["weight_decay"] for weight in group["params"])


@pytest.mark.parametrize("seen", [0, 15_999, 16_000, 10**6])
def test_every_plan_fits_the_network(seen):
    free = SimpleNamespace(size=None, batch=None, distractors=None, device="cpu")
    for _ in range(20):
        size, count, clutter = train._plan(seen, free)
        assert all(side % 32 == 0 and side <= 1.4 * feeding.SIDE for side in size) and count > 0 and 0 <= clutter <= 1
    size, *rest = train._plan(seen, SimpleNamespace(size=224, batch=3, distractors=0.5, device="cpu"))
    assert 0.8 < size[0] * size[1] / 224 ** 2 < 1.2 and rest == [3, 0.5]


def test_gaps_are_what_lies_between_limbs_and_beside_one_that_leaves_the_picture():
    truth = torch.zeros(1, 1, 128, 192)
    truth[..., 96:104, :48] = truth[..., 96:, 24:48] = 1  # an arm that comes in from the left, and a body
    gaps = train.gaps(truth)[0, 0]
    assert gaps[104:, :24].min() == 1 and (gaps * truth[0, 0]).max() == 0
    assert gaps[:40].max() == 0 and gaps[:, 110:].max() == 0
    assert train.gaps(truth * 0).max() == 0


def test_narrow_are_limbs_and_not_bodies():
    truth = torch.zeros(1, 1, 128, 192)
    truth[..., 64:, 64:128] = truth[..., 16:24, :48] = 1  # a body, and an arm that comes in from the left
    narrow = train.narrow(truth)[0, 0]
    assert narrow[16:24, :48].min() == 1 and (narrow * (1 - truth[0, 0])).max() == 0
    assert narrow[80:, 72:120].max() == 0
    assert train.narrow(truth * 0).max() == 0


def test_the_loss_is_least_for_the_truth():
    _, truth = batch(3)
    right, coarse = (truth * 2 - 1) * 20, torch.nn.functional.adaptive_avg_pool2d(truth, 4)
    coarse = torch.logit(coarse.clamp(1e-4, 1 - 1e-4))
    assert train.loss_of(right, coarse, truth) < train.loss_of(right * 0, coarse, truth) < train.loss_of(-right, coarse, truth)
