// The network's ranks against the ranks of the reference for all pairs, and the most surprising pairs.

const SCATTER = { size: 440, left: 52, right: 16, top: 12, bottom: 40 };
const MAX_DOTS = 600;
const MAX_CELLS = 110; // per side of the density
const PAIRS_PER_CELL = 4;
const MAX_DENSITY = 4;
const SURPRISES = 8;
const GOLDEN_RATIO = 0.6180339887;
const PLASTIC_RATIO = 0.7548776662;

/**
 * Return the pairs of a run at an epoch: their percentiles `y` in the network and `x` in the reference, the numbers of pairs with a
 * value, and the most surprising pairs in both directions; null without both matrices. `spreadX` and `spreadY` are the percentiles
 * with equal values spread evenly over their ranks.
 */
async function pairRanks(run, size, epoch) {
  const { own, reference } = mainMatrices(run);
  if (!own?.epochs.length || !reference) return null;
  const nearestEpoch = nearestTo(epoch, own.epochs);
  const [frame, referenceFrame] = await completeFramesAt(nearestEpoch, own, reference);
  const spreadRanks = ({ codes, scale }, ratio) => {
    const { counts, pairs, percentile } = ranksOf({ codes, scale });
    const percentiles = Float32Array.from(codes, (code) => percentile[code]);
    const spread = percentiles.map((value, k) => value + (((k * ratio) % 1) - 0.5) * (counts[codes[k]] / pairs));
    return [percentiles, spread, pairs];
  };
  const [x, spreadX, pairsX] = spreadRanks(referenceFrame, GOLDEN_RATIO);
  const [y, spreadY, pairsY] = spreadRanks(frame, PLASTIC_RATIO);
  const [near, far] = [1, -1].map((sign) => surprises(x, y, size, sign));
  return { epoch: nearestEpoch, own, x, y, pairsX, pairsY, spreadX, spreadY, near, far };
}

/** Call `visit(i, j, k)` for each pair of classes i < j in the order of a symmetric frame, where k is the index in the frame. */
function forEachPair(size, visit) {
  for (let k = 0, i = 0; i < size; i++) {
    for (let j = i + 1; j < size; j++, k++) visit(i, j, k);
  }
}

/** Return the pairs with the largest difference of percentiles in one direction: [{i, j, x, y}]. */
function surprises(x, y, size, sign) {
  const best = [];
  let lowest = 0;
  forEachPair(size, (i, j, k) => {
    const difference = sign * (y[k] - x[k]);
    if (!(difference > lowest)) return;
    best.push({ i, j, k, x: x[k], y: y[k], difference });
    if (best.length > 4 * SURPRISES) {
      best.sort((a, b) => b.difference - a.difference);
      best.length = SURPRISES;
      lowest = best.at(-1).difference;
    }
  });
  return best.sort((a, b) => b.difference - a.difference).slice(0, SURPRISES);
}

/** Return the figure of the scatter, with a function `draw()`; `open(i, j)` is called with the pair of a click. */
function scatterPlot(run, names, ranks, open) {
  const canvas = element("canvas", { class: "scatter", role: "img",
    "aria-label": `Rank of every pair of classes in ${run.reference} against its rank in the network at `
      + `${epochTitle(run, ranks.epoch)}. The tables next to it list the pairs that differ most.` });
  const isDense = ranks.x.length > MAX_DOTS;
  const readout = element("p", { class: "faint", role: "status" },
    "Point at the chart to read the nearest pair, and click to open it. Without a relation, "
      + (isDense ? "all cells would have the same colour." : "the dots would be spread evenly."));
  const { size: side, left, right, top, bottom } = SCATTER;
  const plot = side - left - right;
  const at = { x: (percentile) => left + percentile * plot, y: (percentile) => top + (1 - percentile) * (side - top - bottom) };
  const cells = Math.min(MAX_CELLS, Math.round(Math.sqrt(ranks.x.length / PAIRS_PER_CELL)));
  let scale = 1;

  function draw() {
    const width = canvas.clientWidth || side;
    scale = width / side;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(width * ratio);
    drawScatter(canvas.getContext("2d"), scale * ratio);
  }

  function drawScatter(context, zoom) {
    context.setTransform(zoom, 0, 0, zoom, 0, 0);
    context.fillStyle = styleColour("--paper");
    context.fillRect(0, 0, side, side);
    if (isDense) drawDensity(context);
    else {
      context.fillStyle = PALETTE[theme()].more[6];
      ranks.x.forEach((x, k) => { if (!Number.isNaN(x + ranks.y[k])) dot(context, k, 2.5); });
    }
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = styleColour("--faint");
    context.strokeStyle = styleColour("--rule");
    context.strokeRect(left, top, plot, side - top - bottom);
    const rankTicks = (pairs) => [1, ...ticks(pairs / 8, pairs, 4)]
      .map((rank) => [rank < 10000 ? rank.toLocaleString("en") : tickText(rank), 1 - (rank - 0.5) / pairs]);
    context.textAlign = "center";
    rankTicks(ranks.pairsX).forEach(([text, tick]) => context.fillText(text, at.x(tick), side - bottom + 15));
    context.textAlign = "right";
    rankTicks(ranks.pairsY).forEach(([text, tick]) => context.fillText(text, left - 5, at.y(tick) + 4));
    context.textAlign = "center";
    context.fillText(`rank of the pair in ${run.reference} (1 is the most similar pair)`, left + plot / 2, side - 8);
    context.save();
    context.translate(11, top + (side - top - bottom) / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(`rank of the pair in the network (${ranks.own.title})`, 0, 0);
    context.restore();
    label(context, ranks.near.slice(0, 3), PALETTE[theme()].more[7]);
    label(context, ranks.far.slice(0, 3), PALETTE[theme()].less[6]);
  }

  function dot(context, k, radius) {
    context.beginPath();
    context.arc(at.x(ranks.spreadX[k]), at.y(ranks.spreadY[k]), radius, 0, 2 * Math.PI);
    context.fill();
  }

  /** Draw the number of pairs per cell; the darkest cells have `MAX_DENSITY` times the mean number. */
  function drawDensity(context) {
    const counts = new Float32Array(cells ** 2);
    const cellOf = (percentile) => Math.min(cells - 1, Math.max(0, Math.floor(percentile * cells)));
    ranks.spreadX.forEach((x, k) => {
      if (Number.isNaN(x + ranks.spreadY[k])) return;
      counts[(cells - 1 - cellOf(ranks.spreadY[k])) * cells + cellOf(x)]++;
    });
    const { of } = pixelsOf();
    const most = (MAX_DENSITY * ranks.x.length) / counts.length;
    const image = pixelCanvas(cells, cells, (k) => of(Math.min(1, counts[k] / most)));
    context.imageSmoothingEnabled = false;
    context.drawImage(image, left, top, plot, side - top - bottom);
  }

  /** Draw the names of some pairs next to their dots, below each other where they would overlap. */
  function label(context, pairs, colour) {
    const isHigh = pairs[0]?.y > 0.5; // the first label is next to its dot, and the others are stacked towards the middle
    let last = isHigh ? -Infinity : Infinity;
    for (const pair of [...pairs].sort((a, b) => (isHigh ? b.y - a.y : a.y - b.y))) {
      context.fillStyle = colour;
      dot(context, pair.k, 3.5);
      const text = [pair.i, pair.j].map((index) => shortened(context, names[index].split(",")[0], 110)).join(" – ");
      const isRight = pair.x > 0.5;
      const beside = at.y(ranks.spreadY[pair.k]) + 4;
      const y = isHigh ? Math.max(beside, last + 14) : Math.min(beside, last - 14);
      last = y;
      context.textAlign = isRight ? "right" : "left";
      context.lineWidth = 3;
      context.strokeStyle = styleColour("--paper");
      context.fillStyle = styleColour("--ink");
      const x = at.x(ranks.spreadX[pair.k]) + (isRight ? -7 : 7);
      context.strokeText(text, x, y);
      context.fillText(text, x, y);
    }
  }

  /** Return the pair whose dot is next to the pointer, or null. */
  function pairAt(event) {
    const box = canvas.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / scale, (event.clientY - box.top) / scale];
    let best = null;
    let distance = 8 ** 2;
    forEachPair(names.length, (i, j, k) => {
      const away = (at.x(ranks.spreadX[k]) - x) ** 2 + (at.y(ranks.spreadY[k]) - y) ** 2;
      if (!(away < distance)) return;
      distance = away;
      best = { i, j, x: ranks.x[k], y: ranks.y[k] };
    });
    return best;
  }

  canvas.addEventListener("pointermove", (event) => {
    const pair = pairAt(event);
    canvas.style.cursor = pair ? "pointer" : "default";
    if (!pair) return;
    const [own, reference] = [rankAt(pair.y, ranks.pairsY), rankAt(pair.x, ranks.pairsX)].map(roundedRank);
    readout.textContent = `${names[pair.i]} – ${names[pair.j]}: rank ${own} in the network, ${reference} in ${run.reference}.`;
  });
  canvas.addEventListener("click", (event) => { const pair = pairAt(event); if (pair) open(pair.i, pair.j); });
  const shown = `${isDense ? "cells of a stronger colour have more pairs" : "one dot per pair"}; ${epochTitle(run, ranks.epoch)}`;
  const node = element("figure", { class: "scatter-figure" },
    figureTitle(`Ranks in the network and in ${run.reference}`, `${shown}; pairs of equal rank are spread`),
    canvas, readout, exportMenu(`${run.name} ranks epoch ${ranks.epoch}`, { canvas: exportCanvas, csv: exportRows }));

  function exportCanvas() {
    const picture = element("canvas", { width: side * EXPORT_RATIO, height: side * EXPORT_RATIO });
    drawScatter(picture.getContext("2d"), EXPORT_RATIO);
    return picture;
  }

  function exportRows() {
    const rows = [["first", "second", "rank in the network", `rank in ${run.reference}`]];
    const rank = (percentile, pairs) => (1 - percentile) * pairs + 0.5;
    forEachPair(names.length, (i, j, k) =>
      rows.push([names[i], names[j], rank(ranks.y[k], ranks.pairsY), rank(ranks.x[k], ranks.pairsX)]));
    return rows;
  }

  return { node, draw };
}

/** Return the elements of the section on surprising pairs at an epoch, its scatter, and the pair that is open at first. */
async function surpriseSection(run, names, epoch, open) {
  const [ranks, near] = await Promise.all([pairRanks(run, names.length, epoch), nearestAt(run, epoch)]);
  const title = ({ i, j }) => `${names[i]} – ${names[j]}`;
  const pair = { title: "pair", value: title, node: (row) => linkButton(title(row), () => open(row.i, row.j)) };
  const rank = (matrix, name, pairs) =>
    ({ ...numberColumn(`rank in ${matrix}`, name), text: (row) => roundedRank(rankAt(row[name], pairs)) });
  const referenceRank = ({ i, j }) => {
    const percentile = ranks.x[frameIndex({ symmetric: true }, names.length, i, j)];
    return Number.isNaN(percentile) ? null : rankAt(percentile, ranks.pairsX);
  };
  const closest = near && dataTable(`Closest pairs of all classes by ${run.near.of.toUpperCase()}`, [
    pair, numberColumn(run.near.of.toUpperCase(), "value"), ranks && rankColumn(run.reference, "referenceRank"),
  ], near.pairs.map((row) => ({ ...row, referenceRank: ranks && referenceRank(row) })));
  const classesOf = ([first]) => (first ? [first.i, first.j] : null);
  if (!ranks) return { parts: [closest], scatter: null, start: classesOf(near?.pairs ?? []) };
  const columns = [pair, rank("the network", "y", ranks.pairsY), rank(run.reference, "x", ranks.pairsX)];
  const tables = element("div", {}, dataTable(`Nearer in the network than in ${run.reference}`, columns, ranks.near),
    dataTable(`Nearer in ${run.reference} than in the network`, columns, ranks.far));
  const scatter = scatterPlot(run, names, ranks, open);
  return { parts: [scatter.node, tables, closest], scatter, start: classesOf(ranks.near) };
}
