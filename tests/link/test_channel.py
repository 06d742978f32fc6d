import socket

import pytest

from rwc_daemon.link.channel import Channel
from rwc_daemon.messages import BadMessage, LoadVoice, Suspend


def test_messages_pass_in_order_and_the_end_is_seen():
    ours, theirs = socket.socketpair()
    sender, receiver = Channel(ours), Channel(theirs)
    sent = [LoadVoice(str(n)) for n in range(100)] + [Suspend()]
    for message in sent:
        sender.send(message)
    sender.close()
    assert list(receiver.receive()) == [(0, message) for message in sent]


def test_a_message_comes_with_the_number_of_its_stream():
    ours, theirs = socket.socketpair()
    sender, receiver = Channel(ours), Channel(theirs)
    sender.send(Suspend(), 7)
    sender.close()
    assert list(receiver.receive()) == [(7, Suspend())]


def test_a_cut_line_is_an_error_and_not_a_message():
    ours, theirs = socket.socketpair()
    ours.sendall(b'{"is":"LoadVoice","voi')
    ours.close()
    with pytest.raises(BadMessage):
        list(Channel(theirs).receive())


def test_sending_to_nobody_is_an_oserror():
    ours, theirs = socket.socketpair()
    theirs.close()
    with pytest.raises(OSError):
        Channel(ours).send(Suspend())
