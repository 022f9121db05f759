"""The text VAE of the lab vae-geometry: sentences of the tracks, trainings that differ in what keeps the latent alive, texts between two."""

from __future__ import annotations

import time
from typing import Any, Literal

import numpy as np
from pydantic import Field

from tasks.recipe import Settings

from ..console import progress, say
from .work import LabSettings, Steps, Work


class TextRun(Settings):
    """One training of the text VAE. ``tau``: batch normalisation of mu (article 7381), which keeps the mean KL from vanishing."""

    name: str
    weight: float = Field(1.0, ge=0)
    tau: float | None = Field(None, ge=0, le=1)
    word_dropout: float = Field(0.0, ge=0, lt=1)


class TextSettings(LabSettings):
    """Which sentences, and trainings of a small VAE from scratch on them."""

    tracks: tuple[Literal["event", "relation"], ...] = ("event", "relation")
    characters: int = Field(18, ge=4, description="longer sentences are left out")
    max_texts: int = Field(1500, ge=20)
    text_latent: int = Field(16, ge=1)
    text_width: int = Field(64, ge=8)
    text_steps: int = Field(700, ge=1)
    text_batch: int = Field(32, ge=2)
    text_learning_rate: float = Field(3e-3, gt=0)
    text_rise: float = Field(0.5, ge=0, le=1, description="share of the steps over which the weight rises from 0")
    pairs: int = Field(10, ge=1)
    between: int = Field(7, ge=3, description="steps of an interpolation, its two ends among them")
    texts: tuple[TextRun, ...] = (
        TextRun(name="weight 1"),
        TextRun(name="weight 1, tau .5", tau=0.5),
        TextRun(name="weight .1, dropout .3", weight=0.1, word_dropout=0.3),
    )


def read_sentences(work: Work[Any]) -> tuple[list[str], list[str]]:
    """Short sentences of the tracks' train and dev files, each once; those of dev are not among the others."""
    from tasks.official import find_split
    from tasks.registry import get_task

    from ..data_files import open_schema, read_split

    found: dict[str, list[str]] = {"train": [], "dev": []}
    for track in work.settings.tracks:
        task, folder = get_task(track), work.data_of(track)
        for split, texts in found.items():
            records = read_split(task, find_split(track, folder, split), open_schema(task, folder), labelled=True, skip_bad=True)
            texts += [task.text_of(record) for record in records]
    short = {split: [text for text in dict.fromkeys(texts) if len(text) <= work.settings.characters] for split, texts in found.items()}
    order = np.random.default_rng(work.settings.seed).permutation(len(short["train"]))[: work.settings.max_texts]
    say(f"text VAE: {len(order)} of {len(found['train'])} sentences: at most {work.settings.characters} characters, at most max_texts of them")
    train = [short["train"][place] for place in order]
    return train, [text for text in short["dev"] if text not in set(train)][: work.settings.max_texts]


def write_texts(settings: TextSettings, one: TextRun, sentences: list[str], others: list[str]) -> Steps:
    """One text VAE from scratch, and what it writes: its sentences again, others, and what lies between two."""
    import paddle

    from shared.backbone import Backbone, BackboneConfig
    from shared.features.batches import pad
    from shared.generative import VAE, TextDecoder, TextEncoder, kl_standard_normal
    from shared.generative.fitting import fit
    from shared.text import Tokenizer, Vocabulary
    from shared.text.detokenize import detokenize

    vocabulary = Vocabulary.build(sentences, max_size=4000)
    tokenizer, width, longest = Tokenizer(vocabulary), settings.text_width, settings.characters + 2

    def ids_of(texts: list[str]) -> np.ndarray:
        rows = [[vocabulary.cls_id, *encoding.ids[: longest - 2], vocabulary.sep_id] for encoding in tokenizer.encode_batch(texts)]
        return pad([*map(np.asarray, rows), np.zeros(longest)], value=vocabulary.pad_id)[:-1]  # [n, l]

    config = BackboneConfig(
        len(vocabulary), width, num_layers=1, num_heads=4, intermediate_size=2 * width, max_positions=longest, pad_id=vocabulary.pad_id, dropout=0.0
    )
    decoder = TextDecoder(
        Backbone(config),
        settings.text_latent,
        start_id=vocabulary.cls_id,
        end_id=vocabulary.sep_id,
        word_dropout=one.word_dropout,
        unknown_id=vocabulary.unk_id,
    )
    made = VAE(
        TextEncoder(Backbone(config), pooling="mean"),
        decoder,
        settings.text_latent,
        reconstruction="token_cross_entropy",
        weight=one.weight,
        tau=one.tau,
    )
    own, held_out, began = ids_of(sentences), ids_of(others), time.perf_counter()
    with progress(f"text VAE, {one.name}") as advance:
        fit(
            made,
            own,
            steps=settings.text_steps,
            batch=settings.text_batch,
            learning_rate=settings.text_learning_rate,
            rise=settings.text_rise,
            clip=5.0,
            seed=settings.seed,
            watch=lambda step: advance(step, settings.text_steps),
        )
    seconds = time.perf_counter() - began

    def exact(ids: np.ndarray) -> float:
        return float((made.decode(made.encode(paddle.to_tensor(ids))).numpy() == ids).all(axis=1).mean())

    with paddle.no_grad():
        batch = paddle.to_tensor(held_out)  # [n, l]
        mu, log_var = made.posterior(batch)  # [n, d], [n, d]
        kl = np.asarray([float(kl_standard_normal(mu[:, i : i + 1], log_var[:, i : i + 1]).mean()) for i in range(settings.text_latent)])  # [d]
        real = held_out[:, 1:] != vocabulary.pad_id  # [n, l-1]
        right = (made(batch).numpy() == held_out[:, 1:])[real].mean()
        again = min(200, len(own))
        shares = exact(own[:again]), exact(held_out)
    ends = np.random.default_rng(settings.seed).choice(len(own), (2, settings.pairs), replace=2 * settings.pairs > len(own))
    steps = made.interpolate(paddle.to_tensor(own[ends[0]]), paddle.to_tensor(own[ends[1]]), settings.between).numpy()  # [s, p, l]
    known = {detokenize(row, tokenizer) for row in own}
    texts = [[detokenize(row, tokenizer) for row in rows] for rows in steps.swapaxes(0, 1)]
    inner = [text for row in texts for text in row[1:-1]]
    drawn = [detokenize(row, tokenizer) for row in made.sample(100, settings.seed).numpy()]
    return {
        "run": one.name,
        "total_kl": float(kl.sum()),
        "active": int((kl > 0.1).sum()),
        "exact": shares[0],
        "exact_others": shares[1],
        "token_accuracy": float(right),
        "between_seen": sum(text in known for text in inner),
        "between_distinct": len(set(inner)),
        "samples_seen": sum(text in known for text in drawn),
        "samples_distinct": len(set(drawn)),
        "unknown": float((held_out == vocabulary.unk_id).sum() / max(1, real.sum())),
        "lines": _lines(texts[:3], known, settings.between),
        "seconds": seconds,
        "kl": kl,
    }


def _lines(texts: list[list[str]], known: set[str], steps: int) -> list[list[Any]]:
    shares = np.linspace(0.0, 1.0, steps)
    return [
        [pair, f"{share:.2f}", text, "yes" if text in known else "no"]
        for pair, row in enumerate(texts, 1)
        for share, text in zip(shares, row, strict=True)
    ]


def draw_texts(work: Work[Any], written: list[dict[str, Any]]) -> None:
    from .figures import stroke

    title = "Dimensions of the text VAE's latent with a KL above .1: " + ", ".join(f"{one['active']} ({one['run']})" for one in written)
    with work.figure("texts", title, size=(11, 4.4)) as (_, axes):
        for number, one in enumerate(written):
            axes[0, 0].plot(range(1, len(one["kl"]) + 1), np.sort(one["kl"])[::-1], **stroke(number), label=one["run"])
        axes[0, 0].set(xlabel="dimension, largest KL first", ylabel="mean KL of other sentences, nats")
        axes[0, 0].legend(fontsize=9)


def text_table(settings: TextSettings, written: list[dict[str, Any]], trained: int, others: int) -> tuple[str, list[str], list[list[Any]]]:
    """Title, columns and rows of what the trainings came to."""
    title = f"Text VAE over a backbone: {trained} sentences of at most {settings.characters} characters to train on, {others} others"
    columns = ["run", "KL", "dim. with KL > .1", "exact, trained", "exact, others", "next token", "between: trained", "between: distinct"]
    total = settings.pairs * (settings.between - 2)
    rows = [
        [
            one["run"],
            float(one["total_kl"]),
            one["active"],
            *(f"{one[key]:.1%}" for key in ("exact", "exact_others", "token_accuracy")),
            f"{one['between_seen']} of {total}",
            one["between_distinct"],
        ]
        for one in written
    ]
    return title, columns, rows


def judge_texts(settings: TextSettings, written: list[dict[str, Any]]) -> list[str]:
    total = settings.pairs * (settings.between - 2)
    return [
        f"text VAE, {one['run']}: {one['active']} of {settings.text_latent} dimensions have a KL above .1, {one['exact']:.1%} of trained sentences "
        f"come back exactly; {one['between_seen']} of {total} texts between two are trained sentences, {one['between_distinct']} are distinct; "
        f"of 100 samples of N(0, I) {one['samples_seen']} are trained sentences, {one['samples_distinct']} distinct"
        for one in written
    ]
