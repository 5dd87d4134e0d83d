import pickle

import pytest

from allabel_core.errors import InvalidInputError
from allabel_core.similarity.bm25 import Bm25
from allabel_core.similarity.tokenize import TOKENIZERS, as_tokenizer, character_ngrams, tokenize


def test_words_are_lower_cased_runs_of_word_characters():
    assert tokenize("Heated to 80°C, then L-NOArg_2.") == ["heated", "to", "80", "c", "then", "l", "noarg_2"]


def test_ngrams_of_a_chemical_name_keep_its_punctuation():
    assert character_ngrams("2-Chloro", 3) == ["2-c", "-ch", "chl", "hlo", "lor", "oro"]


def test_ngrams_do_not_cross_white_space_and_short_words_stay_whole():
    assert character_ngrams("ab  cde\tfghi", 3) == ["ab", "cde", "fgh", "ghi"]


def test_ngrams_of_a_language_without_spaces():
    assert character_ngrams("加热溶液", 2) == ["加热", "热溶", "溶液"]


@pytest.mark.parametrize("text", ["", "  \n"])
def test_nothing_has_no_tokens(text):
    assert tokenize(text) == []
    assert character_ngrams(text, 2) == []


def test_ngrams_find_what_words_miss():
    texts = ["methylbenzene was added", "dimethylbenzenes boiled", "stirred overnight"]
    words = Bm25(texts, as_tokenizer("words"))
    grams = Bm25(texts, as_tokenizer("characters-3"))
    assert words.column(1)[0] == 0
    assert grams.column(1)[0] > grams.column(2)[0]


def test_by_name_or_function():
    assert as_tokenizer("words") is tokenize
    assert as_tokenizer(str.split) is str.split
    assert as_tokenizer("characters-2")("abc") == ["ab", "bc"]


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(InvalidInputError, match=r"characters-9.*words, characters-2"):
        as_tokenizer("characters-9")


@pytest.mark.parametrize("name", TOKENIZERS)
def test_each_can_go_to_another_process(name):
    copy = pickle.loads(pickle.dumps(TOKENIZERS[name]))
    assert copy("Ab cde fghij") == TOKENIZERS[name]("Ab cde fghij")
