"""A signal that comes while an object is cleared away, or before the command begins, is
not lost.
"""

import signal
import sys
import weakref

import pytest

from dsi_cli.cli import app, main, signals


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


def test_interrupted_by_a_signal_that_becomes_another_error_raises(number):
    @signals.interrupted_by(number)
    def make_class():
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt as error:
            raise RuntimeError("Error calling __set_name__") from error

    with pytest.raises(KeyboardInterrupt):
        make_class()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    "die", [lambda deed: deed(), Dying, lambda deed: weakref.finalize(set(), deed)]
)
@pytest.mark.parametrize("heard", [signals.check, lambda: signals.sleep(60), None])
def test_signal_raises_or_if_an_object_is_deleted_at_the_next_check_or_at_the_end(
    heard, die, number
):
    with pytest.raises(KeyboardInterrupt), signals.interrupted_by(number):  # noqa: PT012
        die(lambda: signal.raise_signal(number))
        if heard is not None:
            heard()
    signals.check()


@pytest.mark.parametrize("is_imported", [False, True])
def test_main_interrupted_before_the_command_begins_ends_with_130_and_one_line(
    is_imported, monkeypatch, capsys
):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["dsi", "doctor"])
    monkeypatch.setattr(app, "_command", interrupt)
    module = app if is_imported else type("Importing", (), {"__getattr__": interrupt})()
    monkeypatch.setitem(sys.modules, "dsi_cli.cli.app", module)
    with pytest.raises(SystemExit, match=r"^130$"):
        main()
    assert capsys.readouterr().err == "error: interrupted\n"


def test_interrupted_by_leaves_an_ignored_signal_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with signals.interrupted_by(signal.SIGINT):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
