from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.token_tape import INSIDE, Tape, Tokens


def tokens(*pieces: str) -> Tokens:
    """Tokens of these texts; the same text is the same token."""
    ends = [sum(len(piece) for piece in pieces[: number + 1]) for number in range(len(pieces))]
    return Tokens("".join(pieces), [id_of(piece) for piece in pieces], ends)


def id_of(piece: str) -> int:
    return int.from_bytes(piece.encode(), "big")


def read(*pieces: str) -> Tape:
    tape = Tape()
    given = tokens(*pieces)
    tape.read(given, 0, len(given))
    return tape


def write(tape: Tape, *pieces: str) -> Tape:
    for piece in pieces:
        tape.wrote(id_of(piece), piece)
    return tape


def common(tape: Tape, *pieces: str) -> tuple[int, int]:
    return tape.common(tokens(*pieces), len(pieces))


def test_the_same_beginning() -> None:
    tape = read("the ", "rain ", "in ")
    assert common(tape, "the ", "rain ", "and ") == (2, 2)
    assert common(tape, "a ") == (0, 0)
    assert common(tape, "the ", "rain ", "in ", "spain") == (3, 3)
    assert common(Tape(), "the ") == (0, 0)


def test_no_more_than_is_asked_for() -> None:
    assert read("a", "b", "c").common(tokens("a", "b", "c"), 2) == (2, 2)


def test_what_was_written_may_have_other_tokens() -> None:
    tape = write(read("say: "), "he", "llo ", "you")
    assert common(tape, "say: ", "hello ", "you", "!") == (4, 3)
    assert common(tape, "say: ", "hell", "o ", "you") == (4, 4)
    assert common(tape, "say: ", "he", "llo ", "they") == (3, 3), "the tokens of a reader"
    assert common(tape, "say: ", "hello ", "they") == (1, 1), "it was cut: those of a reader are others"
    assert common(tape, "say: ", "help ", "you") == (1, 1)
    assert common(tape, "say: ", "hello y") == (1, 1), "there is no border there"


def test_what_was_read_may_not() -> None:
    assert common(read("he", "llo"), "hello") == (0, 0)
    assert common(write(read("he"), "llo"), "hello") == (0, 0)


def test_no_border_within_a_character() -> None:
    """Two tokens for one character, of which another one has the first alike."""
    tape = Tape()
    tape.read(Tokens("aé", [1, 7, 8], [1, INSIDE, 2]), 0, 3)
    assert tape.common(Tokens("aü", [1, 7, 9], [1, INSIDE, 2]), 3) == (1, 1)
    written = Tape()
    for token, text in ((1, "a"), (7, ""), (8, "é")):
        written.wrote(token, text)
    assert written.text == "aé"
    assert written.common(Tokens("aü", [1, 7, 9], [1, INSIDE, 2]), 3) == (1, 1)
    assert written.common(Tokens("aé", [1, 5], [1, 2]), 2) == (3, 2)


def test_reading_in_pieces_is_reading() -> None:
    given = Tokens("aéb", [1, 7, 8, 2], [1, INSIDE, 2, 3])
    tape = Tape()
    for start, stop in ((0, 2), (2, 4)):
        tape.read(given, start, stop)
    assert (tape.text, tape.ids) == ("aéb", [1, 7, 8, 2])
    assert tape.common(given, 4) == (4, 4)


def test_cutting_and_copying() -> None:
    tape = write(read("a ", "b "), "c ")
    other = tape.copy(2)
    assert (other.text, len(other)) == ("a b ", 2)
    tape.cut(1)
    assert (tape.text, len(tape)) == ("a ", 1)
    tape.cut(0)
    assert (tape.text, len(tape)) == ("", 0)
    assert other.text == "a b "


def test_what_the_model_wrote_last() -> None:
    tape = write(read("a ", "b "), "c ", "d ")
    assert tape.written_behind(0) == tape.written_behind(2) == tape.ids[2:]
    assert tape.written_behind(3) == tape.ids[3:]
    assert read("a ").written_behind(0) == []


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "ab", "ba", "aab"]), st.booleans()), max_size=12), st.data())
def test_what_is_common_is_the_same_text(pieces: list[tuple[str, bool]], data: st.DataObject) -> None:
    tape = Tape()
    for piece, written in pieces:
        if written:
            write(tape, piece)
        else:
            at = len(tape.text)
            tape.read(
                Tokens(tape.text + piece, [*tape.ids, id_of(piece)], [*([0] * len(tape)), at + len(piece)]),
                len(tape),
                len(tape) + 1,
            )
    other = data.draw(st.lists(st.sampled_from(["a", "b", "ab", "ba", "aab"]), max_size=12))
    own, same = common(tape, *other)
    assert tape.copy(own).text == "".join(other[:same])
