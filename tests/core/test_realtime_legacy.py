from __future__ import annotations

from antiphon.transport.realtime.legacy import modernized


def test_names_of_today_are_left_alone() -> None:
    source = {"instructions": "x", "audio": {"output": {"voice": "amy"}}}
    assert modernized(source) is source


def test_names_of_the_beta_are_moved() -> None:
    source = {"voice": "amy", "turn_detection": None, "input_audio_format": "pcm16", "instructions": "x"}
    assert modernized(source) == {
        "instructions": "x",
        "audio": {"input": {"format": "pcm16", "turn_detection": None}, "output": {"voice": "amy"}},
    }


def test_the_name_of_today_decides() -> None:
    source = {"voice": "amy", "audio": {"output": {"voice": "joe", "speed": 1.0}}}
    assert modernized(source) == {"audio": {"output": {"voice": "joe", "speed": 1.0}}}


def test_the_clients_object_stays_as_it_is() -> None:
    source = {"voice": "amy", "audio": {"output": {"speed": 1.0}}}
    modernized(source)
    assert source == {"voice": "amy", "audio": {"output": {"speed": 1.0}}}


def test_what_is_wrong_in_itself_stays_wrong() -> None:
    assert modernized({"voice": "amy", "audio": 5}) == {"audio": 5}
