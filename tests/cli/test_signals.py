"""A signal that comes while an object is cleared away is not lost."""

import signal

import pytest

from dsi_cli.cli import signals


class Dying:
    def __init__(self, deed):
        self.deed = deed

    def __del__(self):
        self.deed()


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def number(request):
    before = signal.getsignal(request.param)
    with signals.interrupted_by(request.param):
        yield request.param
    assert signal.getsignal(request.param) is before


def test_interrupted_by_a_signal_raises(number):
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    signals.check()


def test_interrupted_by_a_signal_that_becomes_another_error_raises(number):
    @signals.interrupted_by(number)
    def make_class():
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt as error:
            raise RuntimeError("Error calling __set_name__") from error

    with pytest.raises(KeyboardInterrupt):
        make_class()


@pytest.mark.parametrize("heard", [signals.check, lambda: signals.sleep(60)])
def test_signal_in_a_finaliser_raises_at_the_next_check(heard, number):
    def deeper():
        signal.raise_signal(number)

    Dying(deeper)
    with pytest.raises(KeyboardInterrupt):
        heard()
    signals.check()


def test_interrupted_by_leaves_an_ignored_signal_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals.interrupted_by(signal.SIGINT):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
