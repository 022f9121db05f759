"""Features of two files joined are those of both files' records together."""

from pathlib import Path

import numpy as np
import pytest

from shared.features.ragged import Ragged
from shared.text import Tokenizer, Vocabulary
from tasks.official import find_split, has_schema
from tasks.recipe import FeatureSettings
from tasks.registry import AUXILIARY, TRACKS, get_task

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


@pytest.mark.parametrize("track", [*TRACKS, *AUXILIARY])
@pytest.mark.parametrize("cut", [0, 1, 17])
def test_joined(track, cut):
    task = get_task(track)
    schema = task.read_schema(SAMPLES / track / "schema.json") if has_schema(track) else None
    records = task.read_records(find_split(track, SAMPLES / track, "dev"), schema, labelled=True).records[:30]
    tokenizer = Tokenizer(Vocabulary.build([task.text_of(record) for record in records], max_size=600), lower_case=True)
    settings = FeatureSettings(window=16, overlap=4)

    def features(rows):
        return task.make_features(rows, schema, tokenizer, settings)

    whole, joined = features(records), features(records[:cut]).joined(features(records[cut:]))
    assert joined.arrays().keys() == whole.arrays().keys() and joined.counts() == whole.counts()
    for name, array in whole.arrays().items():
        other = joined.arrays()[name]
        if isinstance(array, Ragged):
            np.testing.assert_array_equal(other.offsets, array.offsets)
            array, other = array.values, other.values
        np.testing.assert_array_equal(other, array, err_msg=name)
    np.testing.assert_array_equal(joined.record_index, whole.record_index)
