"""KernelBench files: what they are lowered to, and how their sizes shrink."""

import pytest

from assay.core.sources import TaskFormat
from assay.errors import TaskError
from assay.tasks.load import load_task

MATMUL = '''import torch
import torch.nn as nn

class Model(nn.Module):
    """Multiplies."""
    def forward(self, A, B):
        return torch.matmul(A, B)

M = 1024 * 4  # rows
K, N = 4096, 2949

def get_inputs():
    A = torch.rand(M, K)
    B = torch.rand(K, N)
    return [A, B]

def get_init_inputs():
    return []
'''

CONV = """import torch
import torch.nn as nn

class Model(nn.Module):
    def __init__(self, in_channels, out_channels, kernel_size, groups):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, groups=groups)

    def forward(self, x):
        return self.conv(x)

batch_size = 128
in_channels = 96
out_channels = 192
height, width = 512, 512
kernel_size = 5
groups = 6

def get_inputs():
    return [torch.rand(batch_size, in_channels, height, width)]

def get_init_inputs():
    return [in_channels, out_channels, kernel_size, groups]
"""

NETWORK = """import torch
import torch.nn as nn

class Model(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.head = nn.Linear(8 * 222 * 222, classes)

    def forward(self, x):
        return self.head(self.conv(x).flatten(1))

def get_inputs():
    return [torch.rand(64, 3, 224, 224)]

def get_init_inputs():
    return [10]
"""


@pytest.fixture
def load(tmp_path):
    def load_text(text, **options):
        folder = tmp_path / "level1"
        folder.mkdir(exist_ok=True)
        path = folder / "7_Some-Task.py"
        path.write_text(text)
        return load_task(path, **options)

    return load_text


def sizes(task):
    """The integers that the program binds at module level, read back from its text."""
    names = {}
    head = task.files[0].text.partition("# Added by Assay")[0]
    for line in head.splitlines():
        left, equals, right = line.partition(" = ")
        if equals and not line.startswith((" ", "def")):
            bound = eval(right.partition("#")[0], {}, dict(names))
            names.update(zip(left.split(", "), bound if isinstance(bound, tuple) else [bound], strict=True))
    return names


def test_a_file_of_the_convention_is_recognised_and_stays_in_training_mode(load):
    task = load(MATMUL)
    assert (task.name, task.format, task.entry) == ("7_Some-Task", TaskFormat.KERNELBENCH, "task.py:Model")
    assert task.files[0].text.startswith(MATMUL)
    assert "'mode': 'train'" in task.files[0].text
    assert "'weights': 'live'" in task.files[0].text
    assert "'family': 'kernelbench level1'" in task.files[0].text
    assert any("never calls eval" in note for note in task.notes)


def test_a_file_with_its_own_declarations_is_a_plain_task(load):
    assert load(MATMUL + "\nTASK = {}\n").format is TaskFormat.PLAIN


@pytest.mark.parametrize(
    ("drawn", "domain"),
    [
        ("torch.randn(4, 4)", "real"),
        ("torch.rand(4, 4)", "real"),
        ("torch.rand(4, 4).softmax(dim=-1)", "fixed"),
        ("torch.randint(0, 2, (4,))", "fixed"),
        ("3.14", "fixed"),
    ],
)
def test_what_an_input_may_be_follows_from_how_it_is_drawn(load, drawn, domain):
    text = MATMUL.replace("torch.rand(K, N)", drawn)
    assert f"'B': '{domain}'" in load(text).files[0].text


def test_uniform_inputs_of_logarithms_stay_in_the_unit_interval(load):
    text = MATMUL.replace("torch.matmul(A, B)", "torch.matmul(torch.log(A), B)")
    assert "'A': 'unit'" in load(text).files[0].text


def test_a_model_that_would_be_downloaded_is_refused(load):
    with pytest.raises(TaskError, match="downloads its model"):
        load(MATMUL + "\nmodel = AutoModel.from_pretrained('x')\n")


def test_scaling_shrinks_a_matrix_product_and_names_every_change(load):
    task = load(MATMUL, profile="scaled")
    small = sizes(task)
    assert task.profile == "scaled"
    assert small["M"] * small["K"] * small["N"] <= 2**27
    assert min(small.values()) >= 256
    assert small["N"] % 2 == 1
    assert f"scaled: M 4096 -> {small['M']}" in task.notes
    assert f"scaled: N 2949 -> {small['N']}" in task.notes
    assert "# rows" in task.files[0].text


def test_scaling_keeps_kernels_groups_squares_and_divisibility(load):
    small = sizes(load(CONV, profile="scaled"))
    assert (small["kernel_size"], small["groups"]) == (5, 6)
    assert small["in_channels"] % 6 == small["out_channels"] % 6 == 0
    assert small["height"] == small["width"] >= 4 * 5
    assert small["batch_size"] >= 2
    assert small["height"] < 512


def test_scaling_takes_batches_before_images_before_features(load):
    small = sizes(load(CONV.replace("512, 512", "64, 64"), profile="scaled"))
    assert small["batch_size"] < 128
    assert small["in_channels"] >= 32


def test_scaling_leaves_images_alone_whose_pixels_a_linear_layer_counts(load):
    task = load(NETWORK, profile="scaled")
    assert "torch.rand(64, 3, 224, 224)" not in task.files[0].text
    assert "3, 224, 224)" in task.files[0].text
    assert load(NETWORK, profile="full").files[0].text.startswith(NETWORK)


def test_scaling_shrinks_literal_images_where_pooling_is_global(load):
    pooled = NETWORK.replace("self.conv(x).flatten(1)", "nn.AdaptiveAvgPool2d(1)(self.conv(x)).flatten(1)")
    task = load(pooled.replace("8 * 222 * 222", "8").replace("(3, 8, 3)", "(3, 512, 3)"), profile="scaled")
    assert "224, 224" not in task.files[0].text


def test_scaling_shrinks_vectors_with_what_they_are_broadcast_against(load):
    text = MATMUL.replace("torch.matmul(A, B)", "A * B").replace("torch.rand(K, N)", "torch.randint(0, 2, (K,))")
    small = sizes(load(text.replace("1024 * 4", "32768").replace("4096, 2949", "32768, 1"), profile="scaled"))
    assert small["M"] == small["K"] < 32768


def test_a_small_task_scales_to_itself(load):
    text = MATMUL.replace("1024 * 4", "64").replace("4096, 2949", "64, 64")
    task = load(text, profile="scaled")
    assert task.files[0].text.startswith(text)
    assert "scaled: nothing had to change" in task.notes
