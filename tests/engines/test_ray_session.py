"""Addresses where no Ray answers: one line, at once."""

import pytest

from dsi_cli.engines import EngineOptions, open_engine
from dsi_cli.errors import EngineError, UsageError

ray = pytest.importorskip("ray", reason="needs Ray: pip install 'dsi-cli[ray]'")


def refuses(job, reason):
    raise AssertionError(f"{job} was lost: {reason}")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "127.0.0.1:1",
            (
                r"^address 127\.0\.0\.1:1: Connection refused \([\d.]+\); expected"
                r" auto, HOST:6379 or"
            ),
        ),
        (
            "ray://127.0.0.1:1",
            (
                r"^address ray://127\.0\.0\.1:1: Connection refused \(127\.0\.0\.1\);"
                r" expected auto"
            ),
        ),
        (
            "head",
            (
                r"^address takes auto, HOST:6379 or ray://HOST:10001; 'head' is not"
                r" one of them$"
            ),
        ),
        ("127.0.0.1:99999", r"^address 127\.0\.0\.1:99999: .*; expected auto"),
    ],
)
def test_an_address_where_nothing_answers(address, message):
    with (
        open_engine(EngineOptions("ray", address)) as found,
        pytest.raises(UsageError, match=message),
    ):
        list(found.map_in_order(abs, [1], refuses))


def test_ray_that_does_not_start_in_time_is_an_error_of_the_engine(monkeypatch):
    def init(address, **options):
        raise Exception("The current node timed out during startup.")

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", init)
    message = (
        r"^Ray did not start \(The current node timed out during startup\.\);"
        r" .*RAY_raylet_start_wait_time_s=300"
    )
    with (
        open_engine(EngineOptions("ray")) as found,
        pytest.raises(EngineError, match=message) as caught,
    ):
        list(found.map_in_order(abs, [1], refuses))
    assert caught.value.exit_code == 5
