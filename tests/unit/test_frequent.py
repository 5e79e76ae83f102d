"""The most frequent words: what a word is, and that the bounded count never claims too much."""

import random
from collections import Counter

import pytest

from project.analysis import frequent
from project.analysis.frequent import WORD_CHARACTERS, FrequentWords


def count(*pieces, number=20):
    words = FrequentWords()
    for piece in pieces:
        words.feed(piece)
    words.finish()
    return words.most_common(number)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The the THE", {"the": 3}),
        ("don't snake_case x-ray", {"don": 1, "t": 1, "snake": 1, "case": 1, "x": 1, "ray": 1}),
        ("4.2 is 42", {"4": 1, "2": 1, "is": 1, "42": 1}),
        ("Straße STRASSE", {"strasse": 2}),
        ("e\u0301te\u0301 — fin", {"e\u0301te\u0301": 1, "fin": 1}),
        ("हिन्दी में", {"हिन्दी": 1, "में": 1}),
        ("猫、犬。猫", {"猫": 2, "犬": 1}),
        ("a😀b 𐐀𐐀😀", {"a": 1, "b": 1, "𐐨𐐨": 1}),
        ("L’été\u00a0: «\u202foui\u202f»\u3000non\x1c_", {"l": 1, "été": 1, "oui": 1, "non": 1}),
        (" \n", {}),
    ],
)
def test_a_word_is_a_run_of_letters_digits_and_marks(text, words):
    assert count(text) == (sorted(words.items(), key=lambda item: (-item[1], item[0])), True)


def test_a_word_may_go_on_in_the_next_piece():
    text = "Über den Wolken muß die Freiheit wohl grenzenlos sein"
    whole = count(text)
    for end in range(len(text)):
        assert count(text[:end], text[end:]) == whole
    assert count(*text) == whole


def test_a_word_at_the_edge_of_a_block_is_one_word(monkeypatch):
    text = "some plain words, und ein paar schöne Wörter " * 3
    whole = count(text)
    for characters in (1, 2, 7):
        monkeypatch.setattr(frequent, "_BLOCK_CHARACTERS", characters)
        assert count(text) == whole


@pytest.mark.parametrize("letter", ["x", "é"])
def test_long_words_are_cut_wherever_a_piece_ends(letter):
    cut = letter * WORD_CHARACTERS
    pieces = [letter * 100, letter * 300 + " ", letter * 70, f" {letter}"]
    assert count(*pieces) == ([(cut, 2), (letter, 1)], True)


def test_the_most_frequent_comes_first_and_equals_by_the_alphabet():
    assert count("b a c b", number=2) == ([("b", 2), ("a", 1)], True)


@pytest.fixture
def little_room(monkeypatch):
    monkeypatch.setattr(frequent, "_MOST_WORDS", 60)
    monkeypatch.setattr(frequent, "_KEPT_WORDS", 30)
    monkeypatch.setattr(frequent, "_BLOCK_CHARACTERS", 200)


@pytest.mark.usefixtures("little_room")
def test_frequent_words_are_exact_although_rare_ones_were_forgotten():
    chance = random.Random(1)
    words = [f"often{n % 5}" if chance.random() < 0.5 else f"rare{n}" for n in range(5_000)]
    top, exact = count(" ".join(words), number=5)
    assert exact
    assert top == sorted(Counter(words).most_common(5), key=lambda item: (-item[1], item[0]))


@pytest.mark.usefixtures("little_room")
def test_what_is_called_exact_is_exact():
    claimed = 0
    for seed in range(120):
        chance = random.Random(seed)
        skew = chance.choice([0.5, 1.0, 2.0, 4.0])
        words = [f"w{int(150 * chance.random() ** skew)}" for _ in range(chance.randrange(4_000))]
        top, exact = count(" ".join(words), number=5)
        true = Counter(words)
        if exact:
            claimed += 1
            assert top == sorted(true.items(), key=lambda item: (-item[1], item[0]))[:5]
        # Never more than there were.
        assert all(number <= true[word] for word, number in top)
    assert 10 < claimed < 110


@pytest.mark.usefixtures("little_room")
def test_nothing_is_claimed_of_words_that_all_differ():
    words = FrequentWords()
    words.feed(" ".join(f"w{n}" for n in range(5_000)))
    words.finish()
    assert len(words._counts) <= 60
    assert words.most_common(5)[1] is False


@pytest.mark.usefixtures("little_room")
def test_words_as_frequent_as_forgotten_ones_are_not_claimed_to_be_the_first():
    often = [f"often{n}" for n in range(40, 0, -1)] * 100
    rare = [f"rare{n}" for n in range(21)]  # with these there are too many to hold
    top, exact = count(" ".join(often + rare), number=30)
    assert {number for _, number in top} == {100}
    assert not exact
