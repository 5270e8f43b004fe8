// Charts of curves, with chance levels, confidence bands, phases and a common cursor. Both pages use this file.
//
// A chart is {title, axis, lines, phases, along, isLarge, note, control}, where `along` is the label of the horizontal axis, by
// default "epoch". A line is {label, colour, epochs, value}. Optional are the positions `x` on the horizontal axis, by default
// the epochs; the chance level {chance, margin}, where a value within the margin is called within chance; the ends {low, high} of
// the confidence interval or, if `isRange` is true, of a range; `isFaint` for a dashed line; and `isShare` for values in percent.
// `note` is {label, epoch, text}, rows of text at one point of the line with this label. `control` is an element next to the
// title. `phases` has one row per run: {label, colour, phases: [{name, first, last, low, high, reason}]}, where low and high
// belong to `last`.

const COLOURS = 7;
const DASHES = 4; // the classes round-0 to round-3 of the style sheet
const HEIGHT = { small: 210, large: 290 };
const MARGIN = { left: 46, right: 12, top: 10, bottom: 38 };
const LABEL_HEIGHT = 14;
const PHASE_ROW_HEIGHT = 26;
const SINGLE_WIDTH = 16; // width of the chance band and the confidence interval of a single epoch, in pixels
const MANY_LINES = 6; // a chart of more lines has no confidence bands, and one chance band

/** Return a chart: its `node`, `draw()` for the current width, and `mark(epoch, isPointed)` for the cursor. */
function curvePanel(chart, { point = () => {}, pick = () => {} } = {}) {
  chart = { ...chart, lines: chart.lines.map((line) => ({ ...line, x: line.x ?? line.epochs, hasDots: Boolean(line.x) })) };
  const plot = svgElement("svg", { class: chart.isLarge ? "plot large" : "plot", role: "img", "aria-label": describePanel(chart) });
  const legend = element("ul", { class: "legend" }, chart.lines.map(legendItem));
  const caption = figureTitle(chart.title, chart.axis);
  if (chart.control) caption.append(chart.control);
  const node = element("figure", { class: chart.isLarge ? "panel large" : "panel" }, caption, plot, legend,
    exportMenu(chart.title, { svg: () => plot, csv: () => curveRows(chart) }));
  let scale = null;
  // A pointer is on the epoch whose point on any line is nearest to it horizontally.
  const points = chart.lines.flatMap(({ epochs, x }) => epochs.map((epoch, k) => ({ epoch, x: x[k] })))
    .filter(({ x }) => x != null);
  const epochAt = (event) => {
    const target = event.clientX - plot.getBoundingClientRect().left;
    const distances = points.map(({ x }) => Math.abs(scale.x(x) - target));
    return points[distances.indexOf(Math.min(...distances))]?.epoch ?? null;
  };
  plot.addEventListener("pointermove", (event) => point(epochAt(event)));
  plot.addEventListener("pointerleave", () => point(null));
  plot.addEventListener("click", (event) => pick(epochAt(event)));
  return {
    node,
    draw() {
      const height = plot.clientHeight || (chart.isLarge ? HEIGHT.large : HEIGHT.small);
      scale = scales(chart, Math.max(220, plot.clientWidth || 320), height);
      legend.hidden = scale.isNamed || chart.lines.length < 2;
      plot.setAttribute("viewBox", `0 0 ${scale.width} ${scale.height}`);
      const hasBands = chart.lines.length <= MANY_LINES;
      const curves = chart.lines.flatMap((line) => curveMarks(line, scale, hasBands || line.isRange));
      plot.replaceChildren(...axes(scale), ...chanceMarks(chart, scale), ...curves, ...phaseMarks(chart, scale),
        ...endLabels(scale), ...noteMarks(chart, scale), svgElement("g", { class: "cursor" }));
    },
    mark(epoch, isPointed = false) {
      if (!scale) return;
      const shown = chart.lines.map((line) => ({ line, k: line.epochs.indexOf(epoch) }))
        .filter(({ line, k }) => line.value[k] != null && line.x[k] != null);
      const marks = shown.map(({ line, k }) => dotAt(line, k, 4, scale));
      if (marks.length && chart.along !== "accuracy") {
        const column = marks.at(-1).getAttribute("cx");
        marks.unshift(straightLine("cursor-line", [column, column], [scale.top, scale.bottom]));
      }
      // The labels at the ends of the lines have the values of the last epoch.
      const isLast = scale.isNamed && shown.every(({ line, k }) => k === line.epochs.length - 1);
      if (isPointed || !isLast) marks.push(...cursorLabels(shown, scale));
      plot.querySelector(".cursor").replaceChildren(...marks);
    },
  };
}

/** Return the entry of a line in the legend, which is shown if the names do not fit at the ends of the lines. */
function legendItem(line) {
  return element("li", {}, svgElement("svg", { class: "swatch", viewBox: "0 0 14 8", "aria-hidden": "true" },
    svgElement("line", { x1: 0, x2: 14, y1: 4, y2: 4, class: `${line.colour} ${line.isFaint ? "second" : ""}` })), line.label);
}

/** Return the values of lines at the cursor as text next to their points, moved apart where they would overlap. */
function cursorLabels(shown, scale) {
  if (shown.length * LABEL_HEIGHT > scale.bottom - scale.top) return [];
  const half = (scale.right - scale.left) / 2;
  const labels = shown.map(({ line, k }) => {
    const x = scale.x(line.x[k]);
    const isRight = x > scale.left + half;
    const reading = readingOf(line, k);
    const text = textWidth(reading) + 10 > half ? valueText(line, line.value[k]) : reading;
    return { text, colour: line.colour, x: x + (isRight ? -10 : 10), y: scale.y(line.value[k]), isRight };
  });
  return movedApart(labels, scale.bottom).map(({ text, colour, x, y, isRight }) => svgElement("text",
    { class: `cursor-label ${colour}`, x, y: y + 4, "text-anchor": isRight ? "end" : "start" }, text));
}

/** Return the k-th value of a line as text, with its interval, and with its chance level if this is not 0. */
function readingOf(line, k) {
  const [low, high, chance] = [line.low, line.high, line.chance].map((values) => values?.[k] ?? null);
  const parts = [valueText(line, line.value[k])];
  if (low != null && high != null) parts.push(`[${valueText(line, low)}, ${valueText(line, high)}]`);
  if (chance != null && !line.isExcess) parts.push(`chance ${valueText(line, chance)}`);
  return parts.join(" ");
}

/** Return a ring and a text at the point of the chart's note. */
function noteMarks({ note, lines }, scale) {
  const line = note && lines.find(({ label }) => label === note.label);
  const k = line?.epochs.indexOf(note.epoch) ?? -1;
  const dot = k < 0 ? null : dotAt(line, k, 6, scale);
  if (!dot) return [];
  const [x, y] = [Number(dot.getAttribute("cx")), Number(dot.getAttribute("cy"))];
  dot.setAttribute("class", "note-ring");
  const width = Math.max(...note.text.map((row) => textWidth(row)));
  const textX = Math.max(scale.left, Math.min(x + 26, scale.right - width));
  const textY = Math.min(y + 40, scale.bottom - LABEL_HEIGHT * note.text.length);
  const rows = note.text.map((row, at) =>
    svgElement("text", { class: "note-text", x: textX, y: textY + at * LABEL_HEIGHT }, row));
  return [straightLine("note-line", [x + 4, x + 22], [y + 5, textY - 6]), dot, ...rows];
}

/** Return the description of a chart for screen readers. */
function describePanel(chart) {
  const descriptions = chart.lines.map((line) => {
    const known = line.value.map((value, k) => [value, line.epochs[k]]).filter(([value]) => value != null);
    if (!known.length) return `${line.label}: no values`;
    const highest = known.reduce((best, point) => (point[0] > best[0] ? point : best));
    const at = ([value, epoch]) => `${valueText(line, value)} at epoch ${epoch}`;
    return `${line.label}: ${at(known[0])}, ${at(known.at(-1))}, highest ${at(highest)}`;
  });
  return `${chart.title}. ${descriptions.join(". ")}.`;
}

/** Return the number of decimals of a line's values: three if all are near 0. */
const digitsOf = ({ value }) => (value.every((number) => Math.abs(number) < 0.1) ? 3 : 2);

/** Return a value of a line as text; a share of classes is in percent, as everywhere on the page. */
const valueText = (line, value, digits = digitsOf(line)) => (line.isShare && value != null
  ? `${formatNumber(100 * value, 0)} %` : formatNumber(value, digits));

/** Return the scales that map positions and values to a plot of the given width and height. */
function scales(chart, width, height) {
  const positions = chart.lines.flatMap((line) => line.x).filter((x) => x != null);
  const [first, last] = [chart.along === "accuracy" ? 0 : Math.min(...positions), Math.max(...positions)];
  let [low, high] = [Infinity, -Infinity];
  const extend = (valuesAt, minimum, maximum) => {
    for (const value of chart.lines.flatMap((line) => line.epochs.flatMap((_, k) => valuesAt(line, k)))) {
      if (value == null) continue;
      low = Math.min(low, Math.max(value, minimum));
      high = Math.max(high, Math.min(value, maximum));
    }
  };
  extend((line, k) => [line.value[k], line.low?.[k], line.high?.[k], line.chance?.[k]], -Infinity, Infinity);
  // A chance band is wide if there are few mistakes. It may extend the plot by a quarter of its height in either direction.
  const [minimum, maximum] = [low - (high - low) / 4, high + (high - low) / 4];
  extend(chanceBand, minimum, maximum);
  // A range that is only rounding error, as that of the norms of two centred class vectors, counts as none.
  const padding = ([high - low, Math.abs(high)].find((size) => size > 1e-12) ?? 1) * 0.05;
  [low, high] = [low === 0 ? 0 : low - padding, high + padding];
  const labels = labelsAtEnds(chart, width, height - MARGIN.top - MARGIN.bottom);
  const isNamed = labels.length > 0;
  // The chance levels of several runs can be far apart, so the label is at the first one.
  const chance = chart.lines.map((line) => line.chance?.findLast((value) => value != null)).find((value) => value != null);
  if (chance != null) labels.push({ text: "chance", value: chance, colour: null });
  const labelWidth = Math.max(0, ...labels.map(({ text }) => textWidth(text) + 10));
  const phaseRows = chart.phases?.filter((row) => row.phases.length) || [];
  const rows = rowTicks(low, high, height, chart.lines[0]?.isShare);
  const left = Math.max(MARGIN.left, ...rows.map(({ text }) => textWidth(text) + 8));
  const right = width - Math.max(MARGIN.right, labelWidth);
  const [top, bottom] = [MARGIN.top + phaseRows.length * PHASE_ROW_HEIGHT, height - MARGIN.bottom];
  return {
    width, height, first, last, low, high, left, right, top, bottom, labels, isNamed, phaseRows, rows,
    along: chart.along || "epoch",
    x: (position) => (last === first ? (left + right) / 2 : left + ((position - first) / (last - first)) * (right - left)),
    y: (value) => {
      const fraction = Math.min(1, Math.max(0, (value - low) / (high - low)));
      return bottom - fraction * (bottom - top);
    },
  };
}

/** Return the labels at the right ends of the lines; none if they take more than 45 % of the width, or do not fit in the height. */
function labelsAtEnds(chart, width, height) {
  const labels = chart.lines.map((line) => {
    const last = line.value.findLast((value) => value != null);
    const value = valueText(line, last);
    return { text: chart.lines.length === 1 ? value : `${line.label} ${value}`, value: last, colour: line.colour };
  });
  const isTooWide = labels.some(({ text }) => textWidth(text) > 0.45 * width);
  return isTooWide || labels.length * LABEL_HEIGHT > height ? [] : labels;
}

const textMeasure = document.createElement("canvas").getContext("2d");

function textWidth(text) {
  textMeasure.font = `600 12px ${getComputedStyle(document.body).fontFamily}`;
  return textMeasure.measureText(text).width;
}

/** Return the labels at the ends of the lines. */
function endLabels(scale) {
  const marks = scale.labels.map((label) => ({ ...label, y: scale.y(label.value) }));
  return movedApart(marks, scale.bottom + 3).map(({ text, colour, y }) => svgElement("text",
    { class: colour ? `end ${colour}` : "chance-label", x: scale.right + 6, y: y + 4 }, text));
}

/** Return labels with a height `y`, in the order of their heights, moved apart where they would overlap. */
function movedApart(labels, bottom) {
  const marks = labels.toSorted((a, b) => a.y - b.y);
  marks.forEach((mark, k) => { if (k) mark.y = Math.max(mark.y, marks[k - 1].y + LABEL_HEIGHT); });
  let limit = bottom;
  for (const mark of marks.toReversed()) {
    mark.y = Math.min(mark.y, limit);
    limit = mark.y - LABEL_HEIGHT;
  }
  return marks;
}

/** Return the ends of the chance band at one point of a line, or an empty array if the point has no chance level. */
function chanceBand(line, k) {
  if (line.chance?.[k] == null) return [];
  const margin = line.margin?.[k] ?? 0;
  return [line.chance[k] - margin, line.chance[k] + margin];
}

/** Return the values and texts of the ticks of the vertical axis. */
function rowTicks(low, high, height, isShare) {
  const values = ticks(low, high, height > HEIGHT.small ? 6 : 4);
  const step = values.length > 1 ? values[1] - values[0] : 1;
  return values.map((value) => ({ value, text: isShare ? `${tickText(100 * value, 100 * step)} %` : tickText(value, step) }));
}

function axes({ left, right, bottom, height, first, last, rows, x, y, along }) {
  const isAccuracy = along === "accuracy";
  const columns = ticks(first, last, Math.max(3, Math.floor((right - left) / 60)))
    .filter((value) => value >= first && (isAccuracy || Number.isInteger(value)));
  const columnStep = columns.length > 1 ? columns[1] - columns[0] : columns[0] || 1;
  return [
    ...rows.flatMap(({ value, text }) => [
      straightLine("grid", [left, right], [y(value), y(value)]),
      tickLabel(text, left - 6, y(value) + 4, "end"),
    ]),
    ...columns.map((value) =>
      tickLabel(isAccuracy ? `${Math.round(100 * value)} %` : tickText(value, columnStep), x(value), height - 21)),
    tickLabel(along, (left + right) / 2, height - 4),
    straightLine("axis", [left, right], [bottom, bottom]),
  ];
}

/** Return a text at an axis. */
function tickLabel(text, x, y, anchor = "middle") {
  return svgElement("text", { class: "tick", x, y, "text-anchor": anchor }, text);
}

const straightLine = (style, [x1, x2], [y1, y2]) => svgElement("line", { class: style, x1, x2, y1, y2 });

function tickText(value, step) {
  const exponent = (number) => Math.floor(Math.log10(Math.abs(number)));
  let text = value.toFixed(decimals(step));
  if (Math.abs(value) >= 10000) text = `${value / 1000}k`;
  else if (step < 1e-6 && value !== 0) text = value.toExponential(Math.max(0, exponent(value) - exponent(step)));
  return text.replaceAll("-", "−");
}

/** Return the points of some values of a line as text, from left to right. A single value has a point on either side. */
function pointsOf(line, valueAt, scale) {
  const known = line.x.map((x, k) => [x, valueAt(k)]).filter(([x, value]) => x != null && value != null);
  const sides = known.length === 1 ? [-SINGLE_WIDTH / 2, SINGLE_WIDTH / 2] : [0];
  const points = known.sort((a, b) => a[0] - b[0]).flatMap(([x, value]) => sides.map((dx) => [scale.x(x) + dx, scale.y(value)]));
  return points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`);
}

/** Return the outline of the area between two values of a line. */
function outline(line, lowAt, highAt, scale) {
  return [...pointsOf(line, highAt, scale), ...pointsOf(line, lowAt, scale).reverse()].join(" ");
}

/** Return the grey bands and lines of chance. Lines with the same level share one; of many lines, only the first band is drawn. */
function chanceMarks(chart, scale) {
  const known = chart.lines.filter((line) => line.chance?.some((level) => level != null));
  const lines = known.length > MANY_LINES ? known.slice(0, 1) : known;
  const bands = lines.map((line) => outline(line, (k) => chanceBand(line, k)[0], (k) => chanceBand(line, k)[1], scale));
  const levelOf = (line) => pointsOf(line, (k) => line.chance[k], scale).join("L");
  const levels = lines.map((line) => (line.isExcess ? `M${scale.left} ${scale.y(0)}H${scale.right}` : `M${levelOf(line)}`));
  return [
    svgElement("g", { class: "bands" }, bands.map((points) => svgElement("polygon", { class: "band", points }))),
    ...[...new Set(levels)].map((d) => svgElement("path", { class: "chance", d })),
  ];
}

/** Return the SVG elements of a curve: its line, and its confidence band unless there are many lines. Single points become dots. */
function curveMarks(line, scale, hasBand) {
  const marks = [];
  if (hasBand && line.low && line.high && !line.hasDots) {
    const points = outline(line, (k) => line.low[k], (k) => line.high[k], scale);
    marks.push(svgElement("polygon", { class: `interval ${line.colour}`, points }));
  }
  // The path has a gap where a value is missing.
  const isKnown = (k) => line.value[k] != null && line.x[k] != null;
  const at = (k) => `${scale.x(line.x[k]).toFixed(1)} ${scale.y(line.value[k]).toFixed(1)}`;
  const step = (k) => (isKnown(k - 1) ? `L${at(k)}` : `M${at(k)}h0`);
  const d = line.value.map((_, k) => (isKnown(k) ? step(k) : "")).join("");
  marks.push(svgElement("path", { class: `curve ${line.colour} ${line.isFaint ? "second" : ""}`, d }));
  const dots = line.hasDots ? line.x.map((_, k) => dotAt(line, k, 2.2, scale)).filter(Boolean) : [];
  return [...marks, ...dots];
}

/** Return a dot at the k-th value of a line, or null if the value is missing. */
function dotAt(line, k, r, scale) {
  const [x, value] = [line.x[k], line.value[k]];
  return x == null || value == null ? null : svgElement("circle", { class: line.colour, cx: scale.x(x), cy: scale.y(value), r });
}

/** Return the epoch at which a phase ends, with its confidence interval, as text. */
function endText({ last, low, high }) {
  const interval = low < high ? ` (${[low, high].map(Math.round).join("–")})` : "";
  return `${Math.round(last)}${interval}`;
}

/** Return a bar of phases for each run, above the plot, with the epochs at which they end. */
function phaseMarks(chart, scale) {
  const bar = (style, y, height, x, width, { name, first, last, low, high, reason }) => {
    const interval = low === high ? "" : ` (95 % CI of the end: ${low} to ${high})`;
    const title = svgElement("title", {}, `${name}, epochs ${first} to ${last}${interval}${reason ? `: ${reason}` : ""}`);
    return svgElement("rect", { class: style, x, y, width, height }, title);
  };
  return scale.phaseRows.flatMap((row, k) => {
    const top = MARGIN.top + k * PHASE_ROW_HEIGHT;
    const at = (epoch) => scale.x(Math.min(scale.last, Math.max(scale.first, epoch)));
    let free = scale.left; // the labels before it end here
    const bars = row.phases.flatMap((phase) => {
      const [from, to] = [at(phase.first), at(phase.last)];
      const end = phase === row.phases.at(-1) ? "" : ` to ${endText(phase)}`;
      const [x, text] = [Math.max(free, from), `${phase.name}${end}`];
      const isShown = end || x + textWidth(text) < scale.right;
      if (isShown) free = x + textWidth(text) + 10;
      return [
        bar(`phase ${row.colour} ${phase.name}`, top + 10, 5, from, Math.max(0, to - from), phase),
        isShown ? svgElement("text", { class: "phase-name", x, y: top + 6 }, text) : null,
      ];
    });
    return bars.filter(Boolean);
  });
}

/** Return the classes of the colour and the dashes of a line, which together are unique for 28 lines. */
const colourOf = (index) => `c${index % COLOURS} round-${Math.floor(index / COLOURS) % DASHES}`;

/** Return the line of a curve's values. */
function rawLine({ epochs, value, low, high, chance, chance_std: chanceStd, z }, index, label) {
  const margin = chanceStd?.map((std) => (std == null ? null : DATA.min_z * std));
  return { label, colour: colourOf(index), epochs, value, chance, margin, low, high, z };
}

/** Return the line of a SAI's excess over chance, with the margin of chance on the scale of the excess. */
function excessLine({ epochs, excess, low, high, chance, chance_std: chanceStd, z }, index, label, isDistance) {
  const zeros = chance.map((level) => (level == null ? null : 0));
  const scaleAt = (k) => (isDistance ? chance[k] : 1 - chance[k]);
  const margin = chanceStd?.map((std, k) => (std == null ? null : (DATA.min_z * std) / scaleAt(k)));
  return { label, colour: colourOf(index), epochs, value: excess, chance: zeros, margin, low, high, z, isExcess: true };
}
