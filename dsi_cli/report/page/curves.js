// Panels of curves over epochs, with chance levels, confidence bands, phases and a common cursor. Both pages use this file.
//
// A panel is {title, axis, lines, phases, along}, where `along` is the label of the horizontal axis, by default "epoch".
// A phase is {name, first, last, low, high}.
// A line is {label, colour, epochs, value}. Optional are its chance level {chance, margin}, where the margin is two standard
// deviations, its confidence interval {low, high}, and z. If `isRange` is true, the table below the plot also shows low and high.

const PANEL_HEIGHT = 210;
const MARGIN = { left: 46, right: 12, top: 10, bottom: 26 };
const PHASE_NAME_HEIGHT = 12;

/** Return a panel: its `node`, `draw()` for the current width, and `mark(epoch)` for the cursor. */
function curvePanel(panel, { point = () => {}, pick = () => {} } = {}) {
  const plot = svgElement("svg", { class: "plot", role: "img", "aria-label": describePanel(panel) });
  const readings = panel.lines.map(readingRow);
  const node = element("figure", { class: "panel" },
    element("figcaption", {}, element("h3", {}, panel.title), element("span", { class: "faint" }, panel.axis)),
    plot,
    panel.phases?.length ? element("p", { class: "faint" }, `Phases: ${panel.phases.map(describePhase).join("; ")}.`) : null,
    element("div", { class: "scroll" }, element("table", { class: "readings" }, element("tbody", {}, readings.map((reading) => reading.row)))));
  let scale = null;
  const epochAt = (event) => nearestEpoch(panel, scale.epoch(event.clientX - plot.getBoundingClientRect().left));
  plot.addEventListener("pointermove", (event) => point(epochAt(event)));
  plot.addEventListener("pointerleave", () => point(null));
  plot.addEventListener("click", (event) => pick(epochAt(event)));
  return {
    node,
    draw() {
      scale = scales(panel, Math.max(220, plot.clientWidth || 320));
      plot.setAttribute("viewBox", `0 0 ${scale.width} ${PANEL_HEIGHT}`);
      plot.replaceChildren(...phaseBands(panel, scale), ...axes(scale), ...panel.lines.flatMap((line) => curveMarks(line, scale)),
        svgElement("g", { class: "cursor" }));
    },
    mark(epoch) {
      readings.forEach((reading) => reading.show(epoch));
      if (scale) plot.querySelector(".cursor").replaceChildren(...cursor(panel, scale, epoch));
    },
  };
}

/** Return the description of a panel for screen readers. */
function describePanel(panel) {
  const descriptions = panel.lines.map((line) => {
    const known = line.value.map((value, k) => [value, line.epochs[k]]).filter(([value]) => value != null);
    if (!known.length) return `${line.label}: no values`;
    const high = known.reduce((best, point) => (point[0] > best[0] ? point : best));
    const [first, last] = [known[0], known[known.length - 1]];
    return `${line.label}: ${formatNumber(first[0])} at epoch ${first[1]}, ${formatNumber(last[0])} at epoch ${last[1]}, highest ${formatNumber(high[0])} at epoch ${high[1]}`;
  });
  return `${panel.title}. ${descriptions.join(". ")}.`;
}

/** Return the table row below a plot that shows the values of a curve at the cursor. */
function readingRow(line) {
  const value = element("td", { class: "number" });
  const chance = element("td", { class: "number faint" });
  const digits = line.value.every((number) => number == null || Number.isInteger(number)) ? 0 : 3;
  const row = element("tr", {}, element("th", { scope: "row" }, swatch(line.colour), line.label), value, line.chance || line.isRange ? chance : null);
  return {
    row,
    show(epoch) {
      const k = line.epochs.indexOf(epoch);
      value.textContent = k < 0 ? "–" : formatNumber(line.value[k], digits);
      const range = line.isRange && k >= 0 ? `${formatNumber(line.low[k])} to ${formatNumber(line.high[k])}` : "";
      if (!line.chance || line.isRange) return void (chance.textContent = range);
      const z = line.z && k >= 0 && line.z[k] != null ? `, z ${deviations(line.z[k])}` : "";
      const level = line.isExcess ? "" : `chance ${formatNumber(line.chance[k])}`;
      chance.textContent = k < 0 || line.chance[k] == null ? "" : level + (level ? z : z.slice(2));
    },
  };
}

function deviations(z) {
  return (Math.round(z * 10) / 10).toFixed(1).replace("-", "−");
}

function swatch(colour) {
  return svgElement("svg", { class: "swatch", viewBox: "0 0 14 8", "aria-hidden": "true" },
    svgElement("line", { x1: 0, x2: 14, y1: 4, y2: 4, class: colour }));
}

function nearestEpoch(panel, target) {
  const epochs = panel.lines.flatMap((line) => line.epochs);
  return epochs.reduce((best, epoch) => (Math.abs(epoch - target) < Math.abs(best - target) ? epoch : best), epochs[0]);
}

/** Return the scales that map epochs and values to a plot of the given width. */
function scales(panel, width) {
  const epochs = panel.lines.flatMap((line) => [line.epochs[0], line.epochs[line.epochs.length - 1]]);
  const [first, last] = [Math.min(...epochs), Math.max(...epochs)];
  let [low, high] = [Infinity, -Infinity];
  const extend = (valuesAt, minimum, maximum) => {
    for (const line of panel.lines) {
      line.epochs.forEach((_, k) => valuesAt(line, k).filter((value) => value != null).forEach((value) => {
        low = Math.min(low, Math.max(value, minimum));
        high = Math.max(high, Math.min(value, maximum));
      }));
    }
  };
  extend((line, k) => [line.value[k], line.low?.[k], line.high?.[k], line.chance?.[k]], -Infinity, Infinity);
  // A chance band is wide if there are few mistakes. It may extend the plot by a quarter of its height in either direction.
  const [minimum, maximum] = [low - (high - low) / 4, high + (high - low) / 4];
  extend(chanceBand, minimum, maximum);
  const padding = (high - low || Math.abs(high) || 1) * 0.05;
  [low, high] = [low === 0 ? 0 : low - padding, high + padding];
  const [left, right] = [MARGIN.left, width - MARGIN.right];
  const [top, bottom] = [MARGIN.top + (panel.phases?.length ? PHASE_NAME_HEIGHT : 0), PANEL_HEIGHT - MARGIN.bottom];
  return {
    width, first, last, low, high, left, right, top, bottom, along: panel.along || "epoch",
    x: (epoch) => (last === first ? (left + right) / 2 : left + ((epoch - first) / (last - first)) * (right - left)),
    y: (value) => Math.min(bottom, Math.max(top, bottom - ((value - low) / (high - low)) * (bottom - top))),
    epoch: (x) => first + ((x - left) / (right - left)) * (last - first),
  };
}

/** Return the ends of the chance band at one point of a line, or an empty array if the point has no chance level. */
function chanceBand(line, k) {
  if (line.chance?.[k] == null) return [];
  const margin = line.margin?.[k] ?? 0;
  return [line.chance[k] - margin, line.chance[k] + margin];
}

function axes(scale) {
  const rows = ticks(scale.low, scale.high, 4);
  const step = rows.length > 1 ? rows[1] - rows[0] : 1;
  const columns = ticks(scale.first, scale.last, Math.max(2, Math.floor((scale.right - scale.left) / 50))).filter(Number.isInteger);
  return [
    ...rows.flatMap((value) => [
      svgElement("line", { class: "grid", x1: scale.left, x2: scale.right, y1: scale.y(value), y2: scale.y(value) }),
      svgElement("text", { class: "tick", x: scale.left - 6, y: scale.y(value) + 4, "text-anchor": "end" },
        tickText(value, step)),
    ]),
    svgElement("text", { class: "tick", x: 0, y: PANEL_HEIGHT - 8 }, scale.along),
    ...columns.map((epoch) => svgElement("text", { class: "tick", x: scale.x(epoch), y: PANEL_HEIGHT - 8, "text-anchor": "middle" }, epoch)),
    svgElement("line", { class: "axis", x1: scale.left, x2: scale.right, y1: scale.bottom, y2: scale.bottom }),
  ];
}

function tickText(value, step) {
  const text = Math.abs(value) >= 10000 ? `${value / 1000}k` : step < 1e-6 ? value.toExponential(1) : value.toFixed(decimals(step));
  return text.replaceAll("-", "−");
}

/** Return the SVG elements of a curve: its chance band and level, its confidence band and its line. Single points become dots. */
function curveMarks(line, scale) {
  const outline = (lows, highs) => {
    const known = line.epochs.map((epoch, k) => [epoch, lows(k), highs(k)]).filter(([, a, b]) => a != null && b != null);
    const upper = known.map(([epoch, , b]) => `${scale.x(epoch).toFixed(1)},${scale.y(b).toFixed(1)}`);
    const lower = known.reverse().map(([epoch, a]) => `${scale.x(epoch).toFixed(1)},${scale.y(a).toFixed(1)}`);
    return [...upper, ...lower].join(" ");
  };
  const marks = [];
  if (line.chance) {
    marks.push(svgElement("polygon", { class: `band ${line.colour}`, points: outline((k) => chanceBand(line, k)[0], (k) => chanceBand(line, k)[1]) }));
    marks.push(svgElement("path", { class: `chance ${line.colour}`, d: path(line.epochs, line.chance, scale) }));
  }
  if (line.low && line.high) {
    marks.push(svgElement("polygon", { class: `interval ${line.colour}`, points: outline((k) => line.low[k], (k) => line.high[k]) }));
  }
  return [...marks, svgElement("path", { class: `curve ${line.colour}`, d: path(line.epochs, line.value, scale) })];
}

function path(epochs, values, scale) {
  let isInLine = false;
  return values.map((value, k) => {
    if (value == null) {
      isInLine = false;
      return "";
    }
    const point = `${scale.x(epochs[k]).toFixed(1)} ${scale.y(value).toFixed(1)}`;
    const step = isInLine ? `L${point}` : `M${point}h0`;
    isInLine = true;
    return step;
  }).join("");
}

function phaseBands(panel, scale) {
  return (panel.phases || []).flatMap((phase, k) => {
    const [from, to] = [scale.x(Math.max(phase.first, scale.first)), scale.x(Math.min(phase.last, scale.last))];
    if (!(to > from)) return [];
    const text = [phase.name, `${phase.name.slice(0, 3)}.`, phase.name[0]].find((name) => to - from > name.length * 6.5 + 2);
    const name = text ? svgElement("text", { class: "phase-name", x: (from + to) / 2, y: scale.top - 4, "text-anchor": "middle" }, text) : null;
    const area = svgElement("rect", { class: `phase phase-${k % 3}`, x: from, y: scale.top - PHASE_NAME_HEIGHT, width: to - from, height: scale.bottom - scale.top + PHASE_NAME_HEIGHT },
      svgElement("title", {}, describePhase(phase)));
    return name ? [area, name] : [area];
  });
}

function describePhase({ name, first, last, low, high }) {
  const interval = low === high ? "" : ` (95 % CI of the end: ${low} to ${high})`;
  return `${name}, epochs ${first} to ${last}${interval}`;
}

function cursor(panel, scale, epoch) {
  if (epoch == null || epoch < scale.first || epoch > scale.last) return [];
  const x = scale.x(epoch);
  const dots = panel.lines.flatMap((line) => {
    const value = line.value[line.epochs.indexOf(epoch)];
    return value == null ? [] : [svgElement("circle", { class: line.colour, cx: x, cy: scale.y(value), r: 3.5 })];
  });
  return [svgElement("line", { class: "cursor-line", x1: x, x2: x, y1: scale.top, y2: scale.bottom }), ...dots];
}

// Panels from the curves table.

const COLOURS = 7;

/** Return the panels of one run: one for the excess of all SAIs, one per raw SAI with its chance level, and the other curves. */
function panelsOfRun(curves, run, measure) {
  const ofRun = (panel) => panel.series.filter((series) => series.run === run);
  const sai = curves.sai[measure];
  const result = [];
  if (sai && ofRun(sai).length) {
    const lines = ofRun(sai).map((series, k) => excessLine(series, k, series.label, sai.lower));
    result.push({ title: curves.excess.title, axis: curves.excess.axis, phasesOf: agreementCurve(curves, run), lines });
    ofRun(sai).forEach((series, k) => result.push({ title: series.label, axis: saiAxis(sai), phasesOf: null, lines: [rawLine(series, k, sai.axis)] }));
  }
  for (const panel of curves.others) {
    const lines = ofRun(panel).map((series, k) => rawLine(series, k, series.label));
    if (lines.length) result.push({ title: panel.title, axis: panel.axis, phasesOf: panel.name === "wsi" ? "wsi max" : null, lines });
  }
  return result;
}

/** Return the name of the agreement curve of a run whose phases the excess panel shows, or null. */
function agreementCurve(curves, run) {
  return curves.phases.find((phase) => phase.place === run && phase.of_agreement)?.curve ?? null;
}

/** Return the panels of all runs: one panel per curve, with one line per run. */
function panelsOfAll(curves, names, measure) {
  const result = [];
  const add = (panel, axis, makeLine) => {
    for (const label of new Set(panel.series.map((series) => series.label))) {
      const lines = panel.series.filter((series) => series.label === label)
        .map((series) => makeLine(series, series.run, names[series.run], panel.lower));
      result.push({ title: axis === curves.excess.axis ? `${label} above chance` : titleOf(panel, label), axis, lines });
    }
  };
  const sai = curves.sai[measure];
  if (sai) {
    add(sai, curves.excess.axis, excessLine);
    add(sai, saiAxis(sai), rawLine);
  }
  curves.others.forEach((panel) => add(panel, panel.axis, rawLine));
  return result;
}

/** Return the title of a panel with one curve. */
function titleOf(panel, label) {
  if (panel.name === "wsi") return `${label[0].toUpperCase()}${label.slice(1)} WSI`;
  return panel.series.every((series) => series.label === label) && panel.name !== "sai" ? panel.title : label;
}

function saiAxis(sai) {
  return sai.axis + (sai.lower ? ", lower is more similar" : "");
}

/** Return the line of a curve's values. The interval of a SAI belongs to its excess, so it is left out here. */
function rawLine({ epochs, value, excess, low, high, chance, chance_std: chanceStd, z }, index, label) {
  const margin = chanceStd?.map((std) => (std == null ? null : 2 * std));
  const interval = excess ? {} : { low, high };
  return { label, colour: `c${index % COLOURS}`, epochs, value, chance, margin, ...interval, z };
}

/** Return the line of a SAI's excess over chance; the margin is two standard deviations of chance on the scale of the excess. */
function excessLine({ epochs, value, excess, low, high, chance, chance_std: chanceStd, z }, index, label, isDistance) {
  const zeros = chance.map((level) => (level == null ? null : 0));
  const margin = chanceStd?.map((std, k) => (std == null ? null : (2 * std) / (isDistance ? chance[k] : 1 - chance[k])));
  return { label, colour: `c${index % COLOURS}`, epochs, value: excess || value.map(() => null), chance: zeros, margin, low, high, z, isExcess: true };
}
