import json
import os
from pathlib import Path

import pytest

from shared.text import Tokenizer, Vocabulary, span_to_tokens, token_span
from shared.text.normalize import CONTROL, SPACE, character_kinds

DATA = os.environ.get("LIC_REAL_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="LIC_REAL_DATA does not name the folder of the official data")


def records(name, limit=None):
    with open(Path(DATA) / name, encoding="utf-8") as file:
        return [json.loads(line) for line, _ in zip(file, range(limit or 10**9), strict=False)]


@pytest.fixture(scope="module")
def vocabulary():
    return Vocabulary.from_file(Path(DATA) / "weights/e5-small-bertvocab-zh/vocab.txt")


@pytest.mark.parametrize("lower_case", [True, False])
def test_tokens_and_spans_of_official_texts_equal_hugging_face(vocabulary, lower_case):
    tokenizers = pytest.importorskip("tokenizers", reason="the reference, Hugging Face tokenizers, is not installed")
    reference = tokenizers.BertWordPieceTokenizer({token: index for index, token in enumerate(vocabulary)}, lowercase=lower_case)
    reference._tokenizer.encode_special_tokens = True
    texts = [record["text"] for name in ("event/train.json", "relation/train.json") for record in records(name, 1000)]
    encodings = Tokenizer(vocabulary, lower_case=lower_case).encode_batch(texts)
    for encoding, expected in zip(encodings, reference.encode_batch(texts, add_special_tokens=False), strict=True):
        assert encoding.ids.tolist() == expected.ids


def test_every_gold_argument_maps_to_tokens_that_hold_it(vocabulary, record_property):
    train = records("event/train.json")
    encodings = Tokenizer(vocabulary).encode_batch(record["text"] for record in train)
    count, blank_edges, wider, lost = 0, 0, [], []
    kinds = character_kinds()
    for record, encoding in zip(train, encodings, strict=True):
        for event in record["event_list"]:
            for argument in event["arguments"]:
                start = argument["argument_start_index"]
                end = start + len(argument["argument"])
                count += 1
                visible = [k for k in range(start, end) if kinds[ord(record["text"][k])] not in (SPACE, CONTROL)]
                blank_edges += visible[-1] + 1 - visible[0] < end - start
                start, end = visible[0], visible[-1] + 1  # blanks have no token: no tagger can mark one at an edge
                tokens = span_to_tokens(encoding, start, end)
                span = token_span(encoding, *tokens) if tokens else (end, start)
                if not span[0] <= start < end <= span[1]:
                    lost.append((argument["argument"], record["text"][slice(*span)]))
                elif span != (start, end):
                    wider.append(argument["argument"])
    record_property("arguments", count)
    record_property("not_exact", len(wider) + blank_edges)
    print(f"{count} arguments, {len(wider)} inside a wider token range, {blank_edges} with blanks at an edge, {len(lost)} not covered")
    assert count and lost == []
