from antiphon.core.voice_spans import NamedSpan, VoiceSpans, longest
from antiphon.core.who import HeardVoice, Span, Who

ANN, BEN = (1.0, 0.0), (0.0, 1.0)


def voice(embedding: tuple[float, ...] | None, *spans: Span, speech_ms: int | None = None) -> HeardVoice:
    length_ms = sum(end - start for start, end in spans) if speech_ms is None else speech_ms
    return HeardVoice(spans, length_ms if embedding else 0, embedding)


def test_one_voice_is_named_once_there_is_enough_of_it() -> None:
    spans, who = VoiceSpans(), Who()
    spans.take([voice(ANN, (300, 1000))], 0, 1000, who, last=False)
    assert spans.speaker is None and spans.done_ms == 300, "it is looked at again from where it began"
    spans.take([voice(ANN, (300, 2000))], 0, 2000, who, last=False)
    assert spans.speaker == "Speaker 1"
    assert spans.spans == (NamedSpan(300, 2000, "Speaker 1"),)
    assert spans.done_ms == 2000


def test_what_was_said_of_earlier_audio_stands() -> None:
    spans, who = VoiceSpans(), Who()
    spans.take([voice(ANN, (0, 3000))], 0, 3000, who, last=False)
    spans.take([voice(BEN, (0, 6000), speech_ms=3000)], 0, 6000, who, last=True)
    assert spans.spans == (NamedSpan(0, 3000, "Speaker 1"), NamedSpan(3000, 6000, "Speaker 2"))


def test_two_voices_of_one_look_are_two_speakers_in_the_order_of_their_time() -> None:
    spans, who = VoiceSpans(), Who({"Ben": BEN})
    spans.take([voice(BEN, (3000, 6000)), voice(ANN, (0, 2500))], 0, 6200, who, last=True)
    assert [span.speaker for span in spans.spans] == ["Speaker 1", "Ben"]
    assert spans.speaker == "Ben"
    assert spans.main_speaker == "Ben"


def test_a_short_piece_goes_to_the_voice_that_went_on() -> None:
    spans, who = VoiceSpans(), Who()
    spans.take([voice(ANN, (0, 3000))], 0, 3000, who, last=False)
    spans.take([voice(BEN, (0, 3700), speech_ms=700)], 0, 3700, who, last=True)
    assert spans.spans == (NamedSpan(0, 3700, "Speaker 1"),)
    assert who.names == ("Speaker 1",)


def test_a_piece_that_is_too_short_for_anybody_goes_to_whom_it_is_nearest() -> None:
    spans, who = VoiceSpans(), Who()
    spans.take([voice(ANN, (0, 3000)), voice(None, (3100, 3300))], 0, 3400, who, last=True)
    assert [span.speaker for span in spans.spans] == ["Speaker 1"]


def test_where_nobody_can_be_named_the_spans_say_so() -> None:
    spans, who = VoiceSpans(), Who()
    spans.take([voice(None, (100, 400))], 0, 600, who, last=True)
    assert spans.spans == (NamedSpan(100, 400, None),)
    assert spans.speaker is None and spans.main_speaker is None
    assert spans.done_ms == 600


def test_a_voice_that_begins_near_the_end_of_a_look_waits_for_the_next() -> None:
    spans, who = VoiceSpans(), Who()
    spans.take([voice(ANN, (0, 2500)), voice(None, (2700, 3000))], 0, 3000, who, last=False)
    assert spans.done_ms == 2700 and spans.speaker == "Speaker 1"
    spans.take([voice(ANN, (0, 2500), speech_ms=0), voice(BEN, (2700, 5000))], 0, 5000, who, last=False)
    assert [(span.start_ms, span.speaker) for span in spans.spans] == [(0, "Speaker 1"), (2700, "Speaker 2")]


def test_a_voice_that_remains_unclear_is_not_looked_at_for_ever() -> None:
    spans, who = VoiceSpans(), Who({"Ann": ANN}, numbered=False)
    spans.take([voice(BEN, (0, 3000))], 0, 3000, who, last=False)
    assert spans.done_ms == 0
    spans.take([voice(BEN, (0, 7000))], 0, 7000, who, last=False)
    assert spans.done_ms == 7000 and spans.speaker is None


def test_a_look_counts_from_where_its_audio_begins() -> None:
    spans, who = VoiceSpans(), Who()
    spans.take([voice(ANN, (0, 9000))], 0, 9000, who, last=False)
    spans.take([voice(ANN, (0, 9500), speech_ms=4500)], 4000, 14000, who, last=True)
    assert spans.spans == (NamedSpan(0, 13500, "Speaker 1"),)


def test_longest_is_the_sum_of_a_speakers_spans() -> None:
    said = [NamedSpan(0, 900, "Ann"), NamedSpan(900, 2000, "Ben"), NamedSpan(2000, 2500, "Ann")]
    assert longest(said) == "Ann"
    assert longest([NamedSpan(0, 900, None)]) is None
