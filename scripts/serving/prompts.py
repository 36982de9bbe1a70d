"""Prompts of an exact number of tokens, made from a seed: one long beginning that all share, and a question of each its own.

The sentences hold only words that are one token each in the model's vocabulary, so that counting pieces counts tokens; the
servers' own count of every prompt is compared with it.
"""

import random
import re

PIECES = re.compile(r" ?[A-Za-z]+| ?[^\sA-Za-z0-9]+|\n")

WHO = [
    "the captain", "a young doctor", "our teacher", "the old farmer", "every visitor", "the museum guide", "a careful editor",
    "the forest worker", "the school nurse", "a retired engineer", "the village baker", "the new manager",
]
DOES = [
    "writes about", "keeps a list of", "asks for", "learns about", "takes pictures of", "explains", "measures", "collects",
    "protects", "compares", "repairs", "remembers",
]
WHAT = [
    "the water in the river", "small birds and insects", "the price of bread", "paper maps", "letters from abroad",
    "wooden tools", "the history of the bridge", "the weather reports", "fresh fruit and vegetables", "the music of the region",
    "the rules of the library", "stories for children",
]
WHEN = [
    "in the morning", "before the meeting", "during the winter", "after a long day", "without any help", "with great care",
    "for the public record", "at the end of each month", "when the market is closed", "until everyone is ready",
]
HOW = [
    "Give one clear example.", "Explain the main reasons.", "Show a common mistake.", "Describe the first step.",
    "Compare two different methods.", "Add a short summary.", "Name the people who can help.", "Say what it might cost.",
]
FILLER = " very"
SHARED, OWN = 1024, 64
OPENING = "You answer the questions of people who visit a small town. Use the notes below."
ENDING = "\nAnswer:"


class Vocabulary:
    def __init__(self, tokens):
        self.tokens = set(tokens)

    def count(self, text):
        """Tokens of a text; an error where a piece of it is not one token."""
        pieces = PIECES.findall(text)
        if "".join(pieces) != text:
            raise ValueError(f"the recipe does not cover '{text}'")
        for piece in pieces:
            if piece.replace(" ", "\u0120").replace("\n", "\u010a") not in self.tokens:
                raise ValueError(f"'{piece}' is not one token of the model")
        return len(pieces)


def _beginning(random_words, vocabulary):
    text = OPENING
    while True:
        sentence = " ".join(random_words.choice(words) for words in [WHO, DOES, WHAT, WHEN])
        sentence = f" {sentence[0].upper()}{sentence[1:]}."
        if vocabulary.count(text + sentence) > SHARED:
            return text + FILLER * (SHARED - vocabulary.count(text))
        text += sentence


def _question(random_words, vocabulary):
    who, first, second = random_words.choice(WHO), *random_words.sample(WHAT, 2)
    text = f" Question: how does {who} deal with {first}, and how does that compare with {second}?"
    for sentence in random_words.sample(HOW, len(HOW)):
        if vocabulary.count(f"{text} {sentence}{ENDING}") <= OWN:
            text += " " + sentence
    return text + FILLER * (OWN - vocabulary.count(text + ENDING)) + ENDING


def make(tokens, count, seed=7):
    """As many different prompts as asked for, all with the same first SHARED tokens and OWN more."""
    random_words, vocabulary = random.Random(seed), Vocabulary(tokens)
    beginning = _beginning(random_words, vocabulary)
    questions = {}
    while len(questions) < count:
        questions[_question(random_words, vocabulary)] = None
    return [beginning + question for question in questions]
