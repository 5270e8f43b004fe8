"""Animations of a matrix over the epochs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from helpers.analysed_runs import Analysed, Command, MakeRun
from helpers.errors import raises
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from dsi_cli.analysis.analyze import analyze
from dsi_cli.errors import OutputError, UsageError
from dsi_cli.figures import animation
from dsi_cli.figures.figure_options import FigureOptions
from dsi_cli.figures.style import using
from dsi_cli.queries import matrices
from dsi_cli.store.results import Results

pytest_plugins = ("helpers.analysed_runs",)
FASHION = "garments"
SHOWN = (0, 1, 2, 3, 15)
HAS_FFMPEG = shutil.which("ffmpeg") is not None


def frames_of(path: Path) -> list[tuple[np.ndarray, int]]:
    with Image.open(path) as image:
        found = []
        for at in range(image.n_frames):
            image.seek(at)
            image.load()
            found.append((np.asarray(image.convert("RGB")).astype(int), image.info["duration"]))
        return found


@pytest.fixture(scope="module")
def made(analysed: Analysed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, animation.Animation]:
    folder = tmp_path_factory.mktemp("films")
    steps: list[tuple[str, int, int]] = []
    options = FigureOptions((FASHION,), epochs=SHOWN)
    found = animation.animations(analysed.run, options, folder, ["gif", "webp"], lambda *step: steps.append(step))
    assert steps == [(f"frames of {FASHION}", done, 8) for _ in range(2) for done in range(1, 9)]
    return {film.path.suffix: film for film in found}


@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_animation_has_one_frame_per_epoch_and_the_reported_duration(made: dict[str, animation.Animation], ending: str):
    film = made[ending]
    assert film.path.name == f"animation{ending}"
    assert film.epochs == SHOWN
    frames = frames_of(film.path)
    assert len(frames) in (5, 8), "Pillow may join the last frame's repetitions"
    assert sum(lasts for _, lasts in frames) == 4000
    assert film.seconds == 4.0
    assert film.bytes == film.path.stat().st_size < 1_000_000
    assert str(film) == f"{FASHION}, NCSM: 5 epochs, 4.0 s"


@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_animation_frames_differ_only_in_the_moving_parts(
    made: dict[str, animation.Animation], ending: str, analysed: Analysed
):
    frames = [pixels for pixels, _ in frames_of(made[ending].path)]
    first, last = frames[0], frames[-1]
    assert first.shape == last.shape
    assert all(size % 2 == 0 for size in first.shape[:2])
    moved = np.abs(first - last).max(axis=2) > 60
    assert moved.any()
    bottom = int(0.8 * len(first))
    assert not moved[bottom:].any(), "the colour bar, the axis and the legend stay"


def test_scene_uses_one_colour_scale_for_all_frames(analysed: Analysed):
    frames = matrices.matrix_frames(analysed.run, FASHION)
    assert frames is not None
    with using(animation.STYLE):
        figure, update = animation.scene(analysed.run, frames, [0, 1, 15])
        of_value: dict[float, set[tuple[int, ...]]] = {}
        for epoch in (0, 1, 15):
            update(epoch)
            cells, place = _cells(_pixels(figure)), matrices.epoch_matrix(analysed.run, frames, epoch)
            classes = analysed.run.classes.query(f"run == '{FASHION}'").sort_values("display_order")
            order = classes["class_index"].to_numpy(int)
            shown = place[np.ix_(order, order)]
            for row, column in np.ndindex(10, 10):
                if row != column:
                    of_value.setdefault(round(float(shown[row, column]), 2), set()).add(tuple(cells[row, column]))
    for value, colours in of_value.items():
        spread = np.ptp(np.array(list(colours)), axis=0).max()
        assert spread <= 12, f"{value} is drawn in {colours}"
    red = [np.mean([colour[0] - colour[2] for colour in of_value[value]]) for value in sorted(of_value)]
    assert np.corrcoef(sorted(of_value), red)[0, 1] > 0.9


def _pixels(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def _cells(pixels: np.ndarray) -> np.ndarray:
    """Return the colours at the middles of a 10 x 10 map, which is found by its diagonal's grey."""
    grey = np.all(np.abs(pixels.astype(int) - 0xA6) <= 1, axis=2)
    wide = np.all([grey[:, at : grey.shape[1] - 20 + at] for at in range(20)], axis=0)
    rows, columns = np.nonzero(wide)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 20
    middles = (np.arange(10) + 0.5) / 10
    at_rows, at_columns = (top + middles * (bottom - top)).astype(int), (left + middles * (right - left)).astype(int)
    return pixels[np.ix_(at_rows, at_columns)].astype(int)


def test_animation_of_many_epochs_shows_evenly_spaced_epochs(
    monkeypatch: pytest.MonkeyPatch, analysed: Analysed, tmp_path: Path
):
    monkeypatch.setattr(animation, "MAX_FRAMES", 4)
    (film,) = animation.animations(analysed.run, FigureOptions((FASHION,), kind="ccsm"), tmp_path, ["gif"])
    assert film.epochs == (0, 5, 10, 15)
    assert str(film) == f"{FASHION}, CCSM on test: 4 of 16 epochs, evenly spaced, 3.5 s"


def test_frames_per_second_limits_the_duration_to_15_seconds():
    for count in (1, 2, 31, animation.MAX_FRAMES):
        assert count / animation.frames_per_second(count) + animation.PAUSE_SECONDS <= 15


def test_animation_without_labels_shows_the_wsi(make_run: MakeRun, tmp_path: Path):
    analyze([make_run(labels=None), make_run("other", labels=None, seed=1)], tmp_path / "out")
    run = Results(tmp_path / "out")
    frames = matrices.matrix_frames(run, "run")
    assert frames is not None
    shown = animation.curve_panel(run, frames)
    assert shown is not None
    assert {one.metric for one in shown.series} == {"wsi"}
    found = animation.animations(run, FigureOptions(("run", "other"), epochs=(1, 2)), tmp_path / "films", ["webp"])
    assert sorted(film.path.name for film in found) == ["animation-other.webp", "animation-run.webp"]
    assert [film.epochs for film in found] == [(1, 2), (1, 2)]


def test_curve_panel_is_the_sai_with_its_chance_level(analysed: Analysed):
    frames = matrices.matrix_frames(analysed.run, FASHION)
    assert frames is not None
    shown = animation.curve_panel(analysed.run, frames)
    assert shown is not None
    assert shown.series[0].of == "ncsm,scsm"
    assert all(np.isfinite(one.chance).any() for one in shown.series)


@pytest.mark.skipif(not HAS_FFMPEG, reason="MP4 is written by ffmpeg, which is not installed")
def test_animation_as_mp4_has_every_frame(analysed: Analysed, tmp_path: Path):
    (film,) = animation.animations(analysed.run, FigureOptions((FASHION,), epochs=SHOWN), tmp_path, ["mp4"])
    assert film.path.read_bytes()[4:8] == b"ftyp"
    probe = ["ffmpeg", "-v", "info", "-i", str(film.path), "-f", "null", "-"]
    said = subprocess.run(probe, capture_output=True, text=True, check=True).stderr
    assert "frame=    8" in said, said
    assert [path.name for path in tmp_path.iterdir()] == ["animation.mp4"]


def test_require_format_mp4_without_ffmpeg_raises(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with raises("no-ffmpeg", UsageError):
        animation.require_format("mp4")


def test_animation_with_failing_ffmpeg_leaves_no_file(monkeypatch: pytest.MonkeyPatch, analysed: Analysed, tmp_path: Path):
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "ffmpeg"
    fake.write_text("#!/bin/sh\necho no such codec >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with raises("ffmpeg-failed", OutputError, path=str(tmp_path / "films" / "animation.mp4")):
        animation.animations(analysed.run, FigureOptions((FASHION,), epochs=SHOWN), tmp_path / "films", ["mp4"])
    assert not (tmp_path / "films").exists()


def test_animation_in_an_impossible_folder_raises_output_error(analysed: Analysed, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="animation"):
        animation.animations(analysed.run, FigureOptions((FASHION,), epochs=(0, 1)), tmp_path / "file", ["gif"])


def test_plot_command_makes_the_animation_only_by_name(analysed: Analysed, dsi: Command, tmp_path: Path):
    ended = dsi("plot", analysed.out, "animation", "--run", FASHION, "--epochs", "0,3", "-f", "webp", "-o", tmp_path)
    assert ended.code == 0
    assert ended.out.split() == [str(tmp_path / "animation.webp")]
    assert f"{FASHION}, NCSM: 2 epochs, 2.5 s" in ended.err
    refused = dsi("plot", analysed.out, "wsi", "-f", "gif", "-o", tmp_path)
    assert (
        refused.code,
        "only the animation can be written as gif: run dsi plot OUT animation --format gif" in refused.err,
    ) == (2, True)
    refused = dsi("plot", analysed.out, "animation", "-f", "png", "-o", tmp_path)
    assert (refused.code, "the animation cannot be written as png: use one of gif, webp, mp4" in refused.err) == (2, True)
    refused = dsi("plot", analysed.out, "animation", "-f", "bmp", "-o", tmp_path)
    assert (refused.code, "no format 'bmp': expected one of png, svg, pdf" in refused.err) == (2, True)
    assert "animation" in dsi("plot", analysed.out, "--list").out
    assert [path.name for path in tmp_path.iterdir()] == ["animation.webp"]
