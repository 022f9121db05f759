"""The ``[model]`` tables of pretraining."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from ...recipe import Settings


class MlmSettings(Settings):
    """Masked language model (Devlin and others, arXiv 1810.04805) over passages of plain text."""

    name: Literal["mlm"] = "mlm"
    masking: Literal["token", "word", "span"] = Field(
        "token", description="what is masked together: a token; a word as jieba cuts it (whole-word masking); 1 to 4 tokens side by side"
    )
    masked: float = Field(0.15, gt=0, le=0.9, description="share of a window's tokens that are to be guessed")
    hidden_share: float = Field(0.8, ge=0, le=1, description="share of these that [MASK] stands for")
    random_share: float = Field(0.1, ge=0, le=1, description="share of these that another token stands for; the rest stays as it is")
    pack: bool = Field(True, description="passages one after the other, [SEP] between, in full windows; else a window of its own for each")
    held_out: float = Field(0.01, ge=0, lt=1, description="share of the passages that are kept for evaluation, by their text; 0: none")
    evaluation_windows: int = Field(256, ge=1, description="at most so many held-out windows are evaluated on, the first ones")

    refused: ClassVar[tuple[str, ...]] = ("replacement_rows",)
    """Settings of the loop that this objective cannot have."""

    @model_validator(mode="after")
    def _shares_fit(self) -> MlmSettings:
        if self.hidden_share + self.random_share > 1:
            raise ValueError(f"hidden_share {self.hidden_share} and random_share {self.random_share} are more than 1 together")
        return self


class SimbertSettings(Settings):
    """SimBERT's joint step (kexue.fm article 7427) over groups of texts with one meaning."""

    name: Literal["simbert"] = "simbert"
    max_length: int = Field(32, ge=3, description="tokens of a text with [CLS] and [SEP]; longer ones are cut at punctuation")
    scale: float = Field(30.0, gt=0, description="factor of the similarities before the softmax")
    pooling: Literal["first", "mean"] = Field("first", description="a text's vector is its [CLS] state, or the mean of its states")
    held_out: float = Field(0.02, ge=0, lt=1, description="share of the groups that are kept for evaluation; 0: none")
    evaluation_batches: int = Field(16, ge=1, description="at most so many held-out batches are evaluated on, the first ones")

    refused: ClassVar[tuple[str, ...]] = ("rdrop", "accumulation", "max_records")
