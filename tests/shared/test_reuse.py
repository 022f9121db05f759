"""shared/ taken into another project under another name, where none of the command line's libraries can be imported."""

import shutil
import subprocess
import sys
from pathlib import Path

SHARED = Path(__file__).parents[2] / "shared"
ABSENT = ("paddlenlp", "typer", "rich", "pandas", "sklearn", "tasks", "pipelines", "shared")

PROGRAM = f"""
import importlib, pkgutil, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
import borrowed
names = [module.name for module in pkgutil.walk_packages(borrowed.__path__, "borrowed.")]
for name in names:
    importlib.import_module(name)
print(len(names), "modules")

import paddle
from borrowed.backbone import Backbone, BackboneConfig
from borrowed.optim import AdaX
from borrowed.unilm import UniLM

paddle.seed(1)
config = BackboneConfig(
    vocab_size=30, hidden_size=16, num_layers=1, num_heads=2, intermediate_size=32, dropout=0.0, condition_size=4, attention_dropout=0.0
)


class Conditioned(UniLM):
    def hidden(self, ids, segment_ids):
        from borrowed.masks import unilm_mask

        condition = paddle.ones([ids.shape[0], 4])
        return self.backbone(ids, segment_ids=segment_ids, mask=unilm_mask(segment_ids), condition=condition).hidden


model = Conditioned(Backbone(config))
optimizer = AdaX(learning_rate=1e-2, parameters=model.parameters())
ids = paddle.to_tensor([[2, 5, 6, 3, 6, 5, 3], [2, 8, 9, 3, 9, 8, 3]])
segments = paddle.to_tensor([[0, 0, 0, 0, 1, 1, 1]] * 2)
losses = []
for _ in range(40):
    loss = model.loss(ids, segments)
    loss.backward()
    optimizer.step()
    optimizer.clear_grad()
    losses.append(float(loss))
print(losses[0], "->", losses[-1])
assert losses[-1] < 0.5 * losses[0]
assert all(projection.weight.abs().sum() > 0 for projection in (model.backbone.blocks[0].output_norm.weight_projection,))
assert not set(sys.modules) & set({ABSENT!r})
"""


def test_shared_works_under_another_name_and_alone(tmp_path):
    shutil.copytree(SHARED, tmp_path / "borrowed", ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
