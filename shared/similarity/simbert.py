"""SimBERT: one network that finds texts of one meaning and writes them (kexue.fm article 7427).

Notation: n texts, b rows, l tokens, h hidden.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn

from ..backbone import Backbone
from ..features.batches import pad
from ..files import whole_folder, write_json
from ..heads.language_model import TiedLanguageModelHead
from ..pretrained import RUN_WEIGHTS_FILE, VOCABULARY_FILE, load_backbone, save_encoder_config
from ..text import Tokenizer, Vocabulary
from ..training.checkpoint import save_weights
from .generation import Scored, generate_synonyms
from .index import RetrievalIndex
from .network import SimilarityNetwork

SETTINGS_FILE = "simbert.json"
_FORMAT = 1


class SimBERT(SimilarityNetwork):
    """A :class:`SimilarityNetwork` with a tokenizer: texts in, vectors and texts out.

    ``head``, ``scale``, ``pooling``: as there. ``max_length``: tokens of one text with [CLS] and [SEP]; longer ones are cut.

    Raises ValueError for a vocabulary larger than the embeddings, a padding token that is not the encoder's, a length that the positions
    do not allow for a pair, and as :class:`SimilarityNetwork` does.
    """

    def __init__(
        self,
        backbone: Backbone,
        tokenizer: Tokenizer,
        *,
        head: TiedLanguageModelHead | None = None,
        scale: float = 30.0,
        max_length: int = 32,
        pooling: str = "first",
    ):
        super().__init__(backbone, head=head, scale=scale, pooling=pooling)
        config, vocabulary = backbone.config, tokenizer.vocabulary
        if len(vocabulary) > config.vocab_size or vocabulary.pad_id != config.pad_id:
            raise ValueError(
                f"the vocabulary has {len(vocabulary)} tokens with padding {vocabulary.pad_id}, the encoder {config.vocab_size} "
                f"with padding {config.pad_id}: give the vocabulary of the same model"
            )
        if not 3 <= max_length <= (config.max_length + 1) // 2:
            raise ValueError(
                f"max_length is {max_length}, but a pair of texts has to fit the encoder's {config.max_length} positions: "
                f"give 3 to {(config.max_length + 1) // 2}"
            )
        self.tokenizer, self.max_length = tokenizer, max_length

    def encode(self, texts: Sequence[str], *, batch_size: int = 64, max_length: int | None = None) -> np.ndarray:
        """The vectors of ``texts``, of length 1: float32 [len(texts), h], the same whatever else is in the batch (to 1e-6).

        Texts are batched by length, without dropout, and cut to ``max_length`` tokens (default: the model's own), [CLS] and [SEP] among them.
        Raises ValueError for a text without a token, a batch size below 1, and a length that the encoder has no positions for.
        """
        rows = self.source_rows(texts, self.max_length if max_length is None else max_length)
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, found {batch_size}: give e.g. 64")
        vectors = np.zeros((len(rows), self.backbone.config.hidden_size), dtype=np.float32)  # [n, h]
        order = np.argsort([len(row) for row in rows], kind="stable")  # [n]
        with self.resting(), paddle.no_grad():
            for begin in range(0, len(order), batch_size):
                chosen = order[begin : begin + batch_size]  # [b]
                ids = pad([rows[index] for index in chosen], value=self.backbone.config.pad_id)  # [b, l]
                found = self(paddle.to_tensor(ids)).astype("float32").numpy()  # [b, h]
                vectors[chosen] = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return vectors

    def index(self, texts: Sequence[str], *, backend: str = "auto", batch_size: int = 64) -> RetrievalIndex:
        """A :class:`RetrievalIndex` of ``texts``. Raises as :meth:`encode` and the index do."""
        return RetrievalIndex(self.encode(texts, batch_size=batch_size), texts, backend=backend)

    def similar(self, text: str, index: RetrievalIndex, *, top_k: int = 10) -> list[Scored]:
        """The ``top_k`` texts of ``index`` nearest to ``text``, the nearest first. Raises as :meth:`encode` and the search do."""
        ids, scores = index.search(self.encode([text]), top_k)  # [1, k], [1, k]
        return [Scored(index.texts[index_of], score) for index_of, score in zip(ids[0].tolist(), scores[0].tolist(), strict=True)]

    def generate(
        self,
        text: str,
        *,
        n: int = 100,
        best: int = 20,
        top_k: int | None = 5,
        top_p: float = 1.0,
        temperature: float = 1.0,
        max_length: int | None = None,
        seed: int = 0,
    ) -> list[Scored]:
        """:func:`generate_synonyms` for one text."""
        return generate_synonyms(
            self, [text], n=n, best=best, top_k=top_k, top_p=top_p, temperature=temperature, max_length=max_length, seed=seed
        )[0]

    # -- files -------------------------------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        num_layers: int | None = None,
        dropout: float | None = None,
        scale: float | None = None,
        max_length: int | None = None,
        pooling: str | None = None,
    ) -> SimBERT:
        """The network of ``source``: a Hugging Face or PaddleNLP folder, a name of PaddleNLP's zoo (``simbert-base-chinese``), a run folder, or
        one that :meth:`save` wrote.

        Language-model head and pooler are the source's where it has them; ``new_parts`` names those that are new. A pooler trained with a
        tanh is taken as well, as the article does. ``num_layers``, ``dropout``: see :func:`load_backbone`; ``scale``, ``max_length`` and
        ``pooling`` default to those saved, else to 30, 32 and ``first``.
        Raises InputError for a source that cannot be loaded, ValueError for wrong arguments.
        """
        settings = _read_settings(Path(source) / SETTINGS_FILE)
        found = load_backbone(source, num_layers=num_layers, dropout=dropout, attention_dropout=dropout)
        tokenizer = Tokenizer(Vocabulary.from_tokens(found.vocabulary_tokens), lower_case=found.lower_case)
        model = cls(
            found.backbone,
            tokenizer,
            scale=settings["scale"] if scale is None else scale,
            max_length=settings["max_length"] if max_length is None else max_length,
            pooling=settings["pooling"] if pooling is None else pooling,
        )
        model.load_parts(found)
        return model

    def save(self, folder: str | Path) -> None:
        """Writes a folder, whole or absent: ``weights.safetensors``, ``encoder.json``, ``vocab.txt``, ``simbert.json``. :func:`load_backbone` reads
        it too. An older model of that name is replaced, any other folder left alone (ValueError)."""
        parts = nn.Layer()
        parts.backbone, parts.language_model_head, parts.pooler = self.backbone, self.unilm.language_model_head, self.pooler
        with whole_folder(folder, marker=SETTINGS_FILE) as aside:
            save_weights(parts, aside / RUN_WEIGHTS_FILE)
            save_encoder_config(aside, self.backbone.config, self.tokenizer.lower_case)
            self.tokenizer.vocabulary.save(aside / VOCABULARY_FILE)
            self.save_settings(aside)

    def save_settings(self, folder: Path) -> None:
        """Writes ``simbert.json`` alone: a folder that has it beside the weights and what belongs to them is one for :meth:`load`."""
        settings = {"scale": self.scale, "max_length": self.max_length, "pooling": self.pooling}
        write_json(folder / SETTINGS_FILE, {"format": _FORMAT, **settings})

    @classmethod
    def load(cls, folder: str | Path) -> SimBERT:
        """What :meth:`save` wrote, in evaluation mode. Raises InputError or ValueError for a folder that is damaged or something else."""
        if not (Path(folder) / SETTINGS_FILE).is_file():
            raise ValueError(f"{folder} has no {SETTINGS_FILE}, so SimBERT.save did not write it: start from it with from_pretrained")
        model = cls.from_pretrained(folder)
        if model.new_parts:
            raise ValueError(f"the weights of {folder} have no whole {' and '.join(model.new_parts)}: copy the folder again")
        model.eval()
        return model

    # -- texts -------------------------------------------------------------------------------------------------------

    def source_rows(self, texts: Sequence[str], max_length: int) -> list[np.ndarray]:
        """Every text as ids ``[CLS] ... [SEP]``, at most ``max_length`` of them. Raises ValueError as :meth:`encode` does."""
        if isinstance(texts, str):
            raise ValueError(f"texts is one string ({texts[:40]!r}): give a list of texts")
        longest = self.backbone.config.max_length
        if not 3 <= max_length <= longest:
            raise ValueError(f"max_length is {max_length}, but the encoder has {longest} positions: give 3 to {longest}")
        vocabulary = self.tokenizer.vocabulary
        rows: list[np.ndarray] = []
        for number, encoding in enumerate(self.tokenizer.encode_batch(texts)):
            if not len(encoding.ids):
                raise ValueError(f"text {number} is {texts[number][:40]!r}, which has no token: leave out texts that say nothing")
            rows.append(np.concatenate([[vocabulary.cls_id], encoding.ids[: max_length - 2], [vocabulary.sep_id]]))  # [l]
        return rows

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Without dropout; training goes on afterwards if it was on."""
        training = self.training
        self.eval()
        try:
            yield
        finally:
            if training:
                self.train()


def _read_settings(file: Path) -> dict[str, Any]:
    """The settings that :meth:`SimBERT.save` wrote, or those of a new model where there is no such file."""
    if not file.is_file():
        return {"scale": 30.0, "max_length": 32, "pooling": "first"}
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        if settings["format"] != _FORMAT:
            raise ValueError(f"format {settings['format']}, this version reads {_FORMAT}")
        return {"scale": float(settings["scale"]), "max_length": int(settings["max_length"]), "pooling": str(settings["pooling"])}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is no file of SimBERT.save ({type(error).__name__}: {error}): copy the folder again") from error
