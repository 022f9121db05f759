import unicodedata

import pytest

from shared.text import unicode_tables
from shared.text.normalize import CODE_POINTS, CONTROL, ISOLATED, MARK, SPACE, WORD, character_kinds, normalize_character, normalize_run

SURROGATES = range(0xD800, 0xE000)


@pytest.mark.parametrize("lower_case", [True, False])
def test_every_code_point_normalises_as_hugging_face_does(lower_case):
    tokenizers = pytest.importorskip("tokenizers", reason="the reference, Hugging Face tokenizers, is not installed")
    bert = tokenizers.normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lower_case)
    late = {code for low, high, _ in unicode_tables.LATE_CAPITALS for code in range(low, high + 1)}
    wrong = []
    for code in range(CODE_POINTS):
        character = chr(code)
        if code in SURROGATES or (unicodedata.category(character) == "Cn" and code > 0x30000) or code in late:
            continue  # late capitals: older builds of the reference do not know them
        expected = bert.normalize_str(character)
        found = normalize_character(character, lower_case=lower_case)
        if found != (expected if expected == " " else expected.strip(" ")):
            wrong.append((hex(code), found, expected))
    assert wrong == []


@pytest.mark.parametrize("lower_case", [True, False])
def test_every_assigned_character_is_set_apart_as_hugging_face_does(lower_case):
    tokenizers = pytest.importorskip("tokenizers", reason="the reference, Hugging Face tokenizers, is not installed")
    bert = tokenizers.normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lower_case)
    cut = tokenizers.pre_tokenizers.BertPreTokenizer()
    kinds = character_kinds(lower_case=lower_case)
    pieces_of_kind = {WORD: 1, SPACE: 2, CONTROL: 1, MARK: 1, ISOLATED: 3}
    wrong = []
    regular = [range(0x3410, 0x9F00), range(0xAC10, 0xE010), range(0x20010, 0x2A6D0), range(0x30000, CODE_POINTS)]
    for code in range(CODE_POINTS):
        if any(code in codes for codes in regular):
            continue
        pieces = cut.pre_tokenize_str(bert.normalize_str(f"a{chr(code)}b"))
        if len(pieces) != pieces_of_kind[kinds[code]]:
            wrong.append((hex(code), pieces, kinds[code]))
    assert wrong == []


@pytest.mark.parametrize(
    ("character", "lowered", "cased"),
    [
        ("İ", "i", "İ"),
        ("é", "e", "é"),
        ("Ａ", "ａ", "Ａ"),
        ("ß", "ß", "ß"),
        ("Ⅱ", "ⅱ", "Ⅱ"),
        ("\u3000", " ", " "),
        ("\r", " ", " "),
        ("\x00", "", ""),
        ("\ufffd", "", ""),
        ("\u200b", "", ""),
        ("\u0301", "", "\u0301"),
        ("글", "\u1100\u1173\u11af", "글"),
        ("\uf900", "豈", "\uf900"),
        ("≠", "=", "≠"),
        ("\U00010570", "\U00010597", "\U00010570"),
        ("\U00011938", "\U00011938", "\U00011938"),
    ],
)
def test_one_character_becomes_none_one_or_several(character, lowered, cased):
    assert normalize_character(character) == lowered
    assert normalize_character(character, lower_case=False) == cased


def test_a_run_keeps_the_index_of_every_character():
    assert normalize_run("\u0301\u200bCafe\u0301İ") == ("cafei", [2, 3, 4, 5, 7], [3, 4, 5, 7, 8], 0, 1)
    assert normalize_run("Cafe\u0301İ", lower_case=False) == ("Cafe\u0301İ", [0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6], 0, 0)


def test_reordered_marks_share_one_span():
    # U+302E has combining class 224, U+1D165 has 216: canonical order swaps them.
    assert normalize_run("a\u302e\U0001d165b") == ("a\U0001d165\u302eb", [0, 1, 1, 3], [1, 3, 3, 4], 0, 0)
    assert normalize_run("a\U0001d165\u302eb") == ("a\U0001d165\u302eb", [0, 1, 2, 3], [1, 2, 3, 4], 0, 0)
