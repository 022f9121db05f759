"""Sentences for the text VAE, and what is said of the texts between two."""

import pytest

from pipelines.demo import samples_folder
from pipelines.labs.text_vae import TextSettings, read_sentences
from pipelines.labs.work import Work


@pytest.mark.parametrize(("characters", "most"), [(18, 1500), (24, 50)])
def test_sentences_are_short_different_and_those_held_out_are_others(tmp_path, capfd, characters, most):
    settings = TextSettings(characters=characters, max_texts=most)
    work = Work("vae-geometry", settings, samples_folder(), tmp_path)
    train, others = read_sentences(work)
    assert 0 < len(others) <= most and len(train) == len(set(train)) <= most
    assert max(map(len, train + others)) <= characters and not set(train) & set(others)
    assert read_sentences(work) == (train, others)
    assert f"text VAE: {len(train)} of 3054 sentences" in capfd.readouterr().err
