"""What every model ``generate`` promises, with the track's own records."""

import os

import numpy as np
import paddle

from shared.backbone import Backbone, BackboneConfig
from shared.text import Tokenizer, Vocabulary
from tasks.recipe import Recipe

from .parts import check_divergence, check_half_precision, check_parts_add_up, check_replacement, check_smoothing

DECODES = int(os.environ.get("LIC_DECODES", "100"))
"""Outputs of an untrained model that are tried; the issue's figure is 10,000."""

CHARACTERS = "白露得失船旧伞人物，。 a1"


def random_texts(seed, count):
    """Texts of 1 to 29 of :data:`CHARACTERS`."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(CHARACTERS), rng.integers(1, 30))) for _ in range(count)]


class Kit:
    """A track with records, their vocabulary and features, and tiny models for them."""

    def __init__(self, task, rows, schema, *, window=100, overlap=10, texts=None, decode=None, **model):
        self.task, self.rows, self.schema = task, rows, schema
        self.recipe = Recipe(
            encoder={"source": "scratch"},
            features={"window": window, "overlap": overlap},
            model={"name": "generate", **model},
            training={"epochs": 1, "seed": 3, "evaluation_tokens": 4000},
            decode=decode or {},
        )
        self.vocabulary = Vocabulary.build(texts or [task.text_of(row) for row in rows], max_size=2000)
        self.features = task.make_features(rows, schema, Tokenizer(self.vocabulary), self.recipe.features)

    def decoding(self, **given):
        """The same recipe with another ``[decode]``."""
        return self.recipe.model_copy(update={"decode": given})

    def model(self, spread=0.0, seed=11, hidden_size=16, num_layers=1, **given):
        """A model without dropout, in evaluation mode; with ``spread`` every weight is moved, so that no scores are alike."""
        paddle.seed(seed)
        config = BackboneConfig(
            vocab_size=len(self.vocabulary), hidden_size=hidden_size, num_layers=num_layers, num_heads=2, intermediate_size=2 * hidden_size,
            dropout=0.0, attention_dropout=0.0, initializer_range=0.1,
        )  # fmt: skip
        recipe = self.recipe.model_copy(update={"model": {**self.recipe.model, **given}})
        self.task.check_recipe(recipe)
        built = self.task.build_model(Backbone(config), self.schema, recipe)
        rng = np.random.default_rng(5)
        for parameter in built.parameters() if spread else ():
            parameter.set_value(parameter.numpy() + rng.normal(0, spread, parameter.shape).astype(np.float32))
        built.eval()
        return built

    def collate(self, built, rows, labelled=True, epoch=0):
        return built.collate(self.features, np.asarray(rows), self.vocabulary, labelled=labelled, epoch=epoch)

    def predict(self, built, recipe=None, floor=None):
        return self.task.predict(built, self.features, self.rows, self.schema, self.vocabulary, recipe or self.recipe, floor=floor)

    def learn(self, steps=60, rate=5e-3, **given):
        """A model that has seen the records often enough to know them by heart."""
        built = self.model(hidden_size=48, num_layers=2, **given)
        optimizer = paddle.optimizer.AdamW(rate, parameters=built.parameters())
        built.train()
        for epoch in range(steps):
            loss = built.loss(self.collate(built, np.arange(len(self.features)), epoch=epoch))
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
        built.eval()
        return built, float(loss)


def check_contract(kit, rows, cuts):
    """Parts, two passes, smoothing, replacement and half precision."""
    built = kit.model(spread=0.2)

    def collate(model, part):
        return kit.collate(model, part)

    assert check_parts_add_up(built, lambda part: collate(built, part), rows, cuts, built.loss) > 0
    check_divergence(built, lambda part: collate(built, part), rows, cuts)
    check_smoothing(lambda **given: kit.model(spread=0.5, **given), collate, rows, cuts, expected_smoothing)
    batch = collate(built, rows)
    target = batch["segments"] == 1  # [b, l]
    last = np.cumsum(target[:, ::-1], axis=1)[:, ::-1] == 1  # [b, l]
    check_replacement(built, batch, kit.vocabulary, inside=target & ~last)
    check_half_precision(kit.model(spread=0.2, label_smoothing=0.1), batch)
    assert built.embedding is built.backbone.embeddings.token


def expected_smoothing(built, batch, smoothing):
    """1 - e of the label's and e of the mean cross entropy over what a row may write, from NumPy."""
    logits = built(batch).numpy().astype(np.float64)  # [t, u]
    total = 0.0
    for row, label, allowed in zip(logits, batch["labels"], writable(batch), strict=True):
        logs = row[allowed] - np.log(np.exp(row[allowed] - row[allowed].max()).sum()) - row[allowed].max()
        of_label = row[label] - row[allowed].max() - np.log(np.exp(row[allowed] - row[allowed].max()).sum())
        total -= (1 - smoothing) * of_label + smoothing * logs.mean()
    return total / len(logits)


def writable(batch):
    """Which words each target token may be, [t, u]."""
    return batch["writable"][batch["owners"]] if "writable" in batch else np.ones((len(batch["owners"]), len(batch["words"])), dtype=bool)


def check_targets(kit, rows):
    """Labels spell out the target behind `[CLS] source [SEP]`, each foretold by the place before it; lengths are those of training."""
    built = kit.model()
    batch = kit.collate(built, rows)
    ids, l = batch["ids"], batch["ids"].shape[1]
    assert batch["words"][batch["labels"]].tolist() == [int(ids.reshape(-1)[place + 1]) for place in batch["places"]]
    assert (batch["segments"].reshape(-1)[batch["places"] + 1] == 1).all() and len(batch["labels"]) == int(batch["segments"].sum())
    assert (batch["owners"] == batch["places"] // l).all()
    for row, length, segments in zip(ids, batch["lengths"], batch["segments"], strict=True):
        begin = int(segments.argmax())
        assert row[0] == kit.vocabulary.cls_id and row[begin - 1] == row[length - 1] == kit.vocabulary.sep_id
        assert segments.tolist() == [0] * begin + [1] * (length - begin) + [0] * (l - length)
        assert (row[length:] == kit.vocabulary.pad_id).all()
    assert writable(batch)[np.arange(len(batch["labels"])), batch["labels"]].all()
    unlabelled = kit.collate(built, rows, labelled=False)
    assert set(unlabelled) == {"ids", "segments", "lengths", "words", "copied", *{"writable"} & set(batch)} and not unlabelled["segments"].any()
    return batch


def check_untrained(kit_of_texts, valid):
    """``DECODES`` outputs of untrained models are valid; most state something. ``kit_of_texts(seed)``: other records for every seed."""
    done = stated = seed = 0
    while done < DECODES:
        kit = kit_of_texts(seed)
        built = kit.model(seed=seed)
        kinds = ({"max_target": 24}, {"beam": 3, "max_target": 12, "length_penalty": "mean"}, {"search": "mbr", "samples": 3, "max_target": 16})
        for found, row in zip(kit.predict(built, kit.decoding(**kinds[seed % 3])), kit.rows, strict=True):
            assert valid(kit, row, found)
            stated += bool(found) and bool(getattr(found[0], "text", True))
            done += 1
        seed += 1
    assert stated > 0.5 * done, f"{stated} of {done} outputs state something"


