import pytest

from rwc_daemon.messages import (
    KINDS,
    BadMessage,
    Configure,
    EngineFault,
    Heartbeat,
    LoadVoice,
    SetControls,
    decode,
    encode,
)


@pytest.mark.parametrize(
    "message",
    [
        Configure(48000, 128, 1.5),
        LoadVoice('a "quoted" \n name'),
        SetControls({"pitch": -2.0, "f0_method": "auto"}),
        Heartbeat(10, 0.1, 1.0, 2.0, 3.0, 0, 40.0),
        EngineFault("BadModel", "ß", {"voice": "x"}),
    ],
)
def test_a_message_is_one_line_and_comes_back(message):
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line) == message


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[]", b"nonsense", b'{"is":"LoadVoice"}', b'{"is":"LoadVoice","voice":"a","x":1}', b'{"is":[]}'],
)
def test_what_is_no_message_is_refused(line):
    with pytest.raises(BadMessage):
        decode(line)


def test_all_messages_are_known():
    assert {"Configure", "LoadVoice", "Planned", "VoiceOn", "Quit"} <= KINDS.keys()
