"""From a recipe's ``[encoder]`` table to a backbone and its tokenizer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import InputError, input_error
from tasks.recipe import EncoderSettings

if TYPE_CHECKING:
    from shared.backbone import Backbone
    from shared.pretrained import Pretrained
    from shared.text import Tokenizer, Vocabulary


INITIALIZER_RANGE, BASE_HIDDEN_SIZE = 0.02, 768
"""BERT's deviation of new weights at its size: a narrower layer needs wider weights for sums of the same size."""


@dataclass(frozen=True)
class Encoder:
    """A backbone, the vocabulary it was made for, and whether that is lower-cased. ``pretrained``: all that its source held; None for a new one."""

    backbone: Backbone
    vocabulary: Vocabulary
    lower_case: bool
    source: str
    pretrained: Pretrained | None = None

    @property
    def tokenizer(self) -> Tokenizer:
        from shared.text import Tokenizer

        return Tokenizer(self.vocabulary, lower_case=self.lower_case)


def places(source: str, data: Path | None) -> list[Path]:
    """Where a source that is a folder is looked for, in order: as given, LIC_WEIGHTS, beside the data, LIC_REAL_DATA/weights."""
    candidates = [Path(source)]
    if os.environ.get("LIC_WEIGHTS"):
        candidates.append(Path(os.environ["LIC_WEIGHTS"]) / source)
    if data is not None:
        candidates.append(data.resolve().parent / "weights" / source)
    if os.environ.get("LIC_REAL_DATA"):
        candidates.append(Path(os.environ["LIC_REAL_DATA"]) / "weights" / source)
    return candidates


def open_encoder(settings: EncoderSettings, *, texts: Iterable[str], data: Path | None) -> Encoder:
    """Loads the encoder, or with source ``scratch`` makes a new one whose vocabulary comes from ``texts``.

    A source that is no folder anywhere in :func:`places` is taken for a model name of PaddleNLP's zoo.
    """
    from shared.text import Vocabulary

    if settings.source == "scratch":
        from shared.backbone import Backbone, BackboneConfig

        vocabulary = Vocabulary.build(texts, max_size=settings.vocab_size)
        try:
            config = BackboneConfig(
                vocab_size=len(vocabulary),
                hidden_size=settings.hidden_size,
                num_layers=settings.num_layers or 2,
                num_heads=settings.num_heads,
                intermediate_size=settings.intermediate_size,
                dropout=settings.dropout,
                attention_dropout=settings.attention_dropout,
                pad_id=vocabulary.pad_id,
                initializer_range=INITIALIZER_RANGE * (BASE_HIDDEN_SIZE / settings.hidden_size) ** 0.5,
                convolution_width=settings.convolution_width,
                attention=settings.attention,
                activation=settings.activation,
            )
        except ValueError as error:
            raise input_error(
                "LIC-E003", found=str(error), expected="an encoder that can be made", remedy="Correct the recipe's [encoder]."
            ) from error
        return Encoder(Backbone(config), vocabulary, True, "scratch")
    from shared.pretrained import load_backbone

    folder = _folder(settings.source, data)
    source = str(folder) if folder is not None else settings.source
    try:
        loaded = load_backbone(
            source, num_layers=settings.num_layers, dropout=settings.dropout, attention_dropout=settings.attention_dropout
        )
    except InputError:
        raise
    except ValueError as error:
        remedy = "Correct the recipe's [encoder]."
        raise input_error("LIC-E003", file=source, found=str(error), expected="what this encoder can do", remedy=remedy) from error
    try:
        vocabulary = Vocabulary.from_tokens(loaded.vocabulary_tokens)
    except ValueError as error:
        if folder is not None:
            Vocabulary.from_file(folder / "vocab.txt")  # says every fault with its line
        raise input_error(
            "LIC-W008", file=source, found=str(error), expected="a vocabulary, one token a line", remedy="Give another encoder."
        ) from error
    return Encoder(loaded.backbone, vocabulary, loaded.lower_case, loaded.source, loaded)


def open_vocabulary(source: str | None, *, texts: Sequence[str], data: Path | None) -> Tokenizer:
    """A tokenizer alone: over the ``vocab.txt`` of an encoder folder, or over a vocabulary built from ``texts``."""
    from shared.text import Tokenizer, Vocabulary

    if source is None:
        return Tokenizer(Vocabulary.build(texts, max_size=21128))
    folder = _folder(source, data)
    if folder is None:
        raise input_error(
            "LIC-E001",
            found=f"encoder {source!r}",
            expected=f"a folder with a vocab.txt, one of {', '.join(str(place) for place in places(source, data))}",
            remedy="Give the encoder's folder.",
        )
    return Tokenizer(Vocabulary.from_file(folder / "vocab.txt"))


def _folder(source: str, data: Path | None) -> Path | None:
    return next((place for place in places(source, data) if place.is_dir()), None)
