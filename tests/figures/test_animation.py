"""Animations of a matrix over the epochs."""

from pathlib import Path

import numpy as np
import pytest
from helpers.analysed_runs import Analysed, Command, MakeRun
from PIL import Image

from dsi_cli.analysis.analyze import analyze
from dsi_cli.analysis.options import Options
from dsi_cli.figures import animation
from dsi_cli.figures.catalogue import FigureOptions
from dsi_cli.figures.style import using
from dsi_cli.queries import matrices
from dsi_cli.store.results import Results

FASHION = "garments"
SHOWN = (0, 1, 2, 3, 15)


def frames_of(path: Path) -> list[tuple[np.ndarray, int]]:
    with Image.open(path) as image:
        found = []
        for at in range(image.n_frames):
            image.seek(at)
            image.load()
            found.append(
                (np.asarray(image.convert("RGB")).astype(int), image.info["duration"])
            )
        return found


@pytest.fixture(scope="module")
def made(
    analysed: Analysed, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    steps: list[tuple[str, int, int]] = []
    options = FigureOptions((FASHION,), epochs=SHOWN)
    found = animation.animations(
        analysed.run, options, folder, ["gif", "webp"], lambda *step: steps.append(step)
    )
    assert steps == [
        (f"frames of {FASHION}", done, 8) for _ in range(2) for done in range(1, 9)
    ]
    return {path.suffix: path for path in found}


@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_animation_has_one_frame_per_epoch(made: dict[str, Path], ending: str):
    assert made[ending].name == f"animation{ending}"
    frames = frames_of(made[ending])
    assert len(frames) in (5, 8), "Pillow may join the last frame's repetitions"
    assert sum(lasts for _, lasts in frames) == 4000
    assert made[ending].stat().st_size < 1_000_000


@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_animation_frames_differ_only_in_the_moving_parts(
    made: dict[str, Path], ending: str, analysed: Analysed
):
    frames = [pixels for pixels, _ in frames_of(made[ending])]
    first, last = frames[0], frames[-1]
    assert first.shape == last.shape
    moved = np.abs(first - last).max(axis=2) > 60
    assert moved.any()
    assert not moved[int(0.85 * len(first)) :].any(), "the colour bar and the axis stay"


def test_scene_shows_ranks_wordnet_and_the_agreement_of_the_epoch(analysed: Analysed):
    frames = matrices.matrix_frames(analysed.run, FASHION)
    assert frames is not None
    with using(animation.SCREEN):
        figure, update = animation.scene(
            analysed.run, frames, [0, 1, 15], FigureOptions()
        )
        shown = []
        for epoch in (0, 15):
            update(epoch)
            shown.append(figure.axes[0].images[0].get_array().copy())
    titles = [axes.get_title(loc="left") for axes in figure.axes[:3]]
    assert titles == [f"{FASHION}: NCSM", "WordNet", "network and WordNet"]
    assert {axes.images[0].get_clim() for axes in figure.axes[:2]} == {(0.5, 1.0)}
    assert all(ranks.compressed().mean() == pytest.approx(0.5) for ranks in shown)
    assert not np.ma.allequal(*shown)
    assert figure.get_suptitle() == "epoch 15"
    curves = analysed.run.curves.query(
        f"run == '{FASHION}' and of == 'ncsm,scsm' and variant == 'pearson' and epoch"
        " == 15"
    )
    point = figure.axes[2].lines[-1]
    assert (list(point.get_xdata()), list(point.get_ydata())) == (
        [15],
        [pytest.approx(curves["value"].item())],
    )


def test_animation_without_labels_shows_the_wsi(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    runs = [
        make_run(name, epochs=3, labels=None, seed=seed)
        for seed, name in enumerate(("run", "other"))
    ]
    analyze(runs, tmp_path / "out", Options(draws=0, permutations=0))
    run = Results(tmp_path / "out")
    frames = matrices.matrix_frames(run, "run")
    assert frames is not None
    shown = animation.curve_of(run, frames)
    assert shown is not None
    assert set(shown["label"]) == {"max"}
    monkeypatch.setattr(animation, "MAX_FRAMES", 2)
    found = animation.animations(
        run, FigureOptions(("run", "other")), tmp_path / "films", ["webp"]
    )
    assert sorted(path.name for path in found) == [
        "animation-other.webp",
        "animation-run.webp",
    ]
    assert len(frames_of(found[0])) in (2, 5), "two epochs, evenly spaced"


def test_plot_command_makes_the_animation_only_by_name(
    analysed: Analysed, dsi: Command, tmp_path: Path
):
    ended = dsi(
        "plot",
        analysed.out,
        "animation",
        "--run",
        FASHION,
        "--epochs",
        "0,3",
        "-f",
        "webp",
        "-o",
        tmp_path,
    )
    assert (ended.code, ended.out.split()) == (0, [str(tmp_path / "animation.webp")])
    for figure, kind in (("wsi", "gif"), ("animation", "png")):
        refused = dsi("plot", analysed.out, figure, "-f", kind, "-o", tmp_path)
        assert refused.code == 2
        assert f"these figures have no format '{kind}'" in refused.err
    assert [path.name for path in tmp_path.iterdir()] == ["animation.webp"]
