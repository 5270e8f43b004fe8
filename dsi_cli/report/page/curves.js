// Charts of curves, with chance levels, confidence bands, phases and a common cursor. Both pages use this file.
//
// A chart is {title, axis, lines, phases, along, isLarge}, where `along` is the label of the horizontal axis, by default "epoch".
// A line is {label, colour, epochs, value}. Optional are the positions `x` on the horizontal axis, by default the epochs; the
// chance level {chance, margin}, where chance gives 95 % of its values within the margin; the confidence interval {low, high}; z;
// `smooth`, values for a smooth line over a faint one; `isFaint` for a dashed line; and `isShare` for values in percent. If `isLog`
// is true for a chart, the horizontal axis is the logarithm of the epoch plus 1. If `isReversed` is true, small values are at the
// top. If `isRange` is true, the table below the plot also shows low and high.
// A chart may have its own `height`, and `rows`, its ticks {value, text} of the vertical axis; it then has no table. `file` is the
// name of its downloads, by default `title`. A line without a colour is in the background and has no label. A line with a shorter
// `name` for its end shows its label to a pointer. `exported` are its values as text, for CSV and screen readers, or else `value`.
// `phases` has one row per run: {label, colour, phases: [{name, first, last, low, high, reason}]}, where low and high belong to
// `last`.

const COLOURS = 7;
const DASHES = 4; // the classes round-0 to round-3 of the style sheet
const HEIGHT = { small: 210, large: 330 };
const MARGIN = { left: 46, right: 12, top: 10, bottom: 38 };
const LABEL_HEIGHT = 14;
const PHASE_ROW_HEIGHT = 26;
const NAMED_LINES = 4; // runs that the tiles name; the first page is printed with the readings of more lines
const SINGLE_WIDTH = 16; // width of the chance band and the confidence interval of a single epoch, in pixels
const NORMAL_QUANTILE = 1.96;
const MANY_LINES = 6; // a chart of more lines has no confidence bands, and one chance band

/** Return a chart: its `node`, `draw()` for the current width, and `mark(epoch)` for the cursor. */
function curvePanel(chart, { point = () => {}, pick = () => {} } = {}) {
  chart = { ...chart, lines: chart.lines.map((line) => ({ ...line, x: line.x ?? line.epochs, hasDots: Boolean(line.x) })) };
  const plot = svgElement("svg", { class: chart.isLarge ? "plot large" : "plot", role: "img", "aria-label": describePanel(chart) });
  if (chart.height) plot.style.height = `${chart.height}px`;
  const readings = chart.rows ? [] : chart.lines.map(readingRow);
  const table = element("table", { class: "readings" }, element("tbody", {}, readings.map((reading) => reading.row)));
  const node = element("figure", { class: chart.isLarge ? "panel large" : "panel" },
    figureTitle(chart.title, chart.axis), plot, element("div", { class: "scroll" }, table),
    exportMenu(chart.file ?? chart.title, { svg: () => plot, csv: () => curveRows(chart) }));
  node.classList.toggle("many", chart.lines.length > NAMED_LINES);
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
      plot.setAttribute("viewBox", `0 0 ${scale.width} ${scale.height}`);
      const hasBands = chart.lines.length <= MANY_LINES;
      const curves = chart.lines.flatMap((line) => curveMarks(line, scale, hasBands || line.isRange));
      plot.replaceChildren(...axes(scale), ...chanceMarks(chart, scale), ...curves, ...phaseMarks(chart, scale),
        ...endLabels(scale), svgElement("g", { class: "cursor" }));
    },
    mark(epoch) {
      readings.forEach((reading) => reading.show(epoch));
      if (!scale) return;
      const dots = chart.lines.filter(({ colour }) => colour).map((line) => dotAt(line, line.epochs.indexOf(epoch), 4, scale))
        .filter(Boolean);
      const column = dots.at(-1)?.getAttribute("cx");
      if (column && chart.along !== "accuracy") {
        dots.unshift(straightLine("cursor-line", [column, column], [scale.top, scale.bottom]));
      }
      plot.querySelector(".cursor").replaceChildren(...dots);
    },
  };
}

/** Return the description of a chart for screen readers. */
function describePanel(chart) {
  const descriptions = chart.lines.filter(({ colour }) => colour).map((line) => {
    const known = (line.exported ?? line.value).map((value, k) => [value, line.epochs[k]]).filter(([value]) => value != null);
    if (!known.length) return `${line.label}: no values`;
    const sign = chart.isReversed ? -1 : 1;
    const extreme = known.reduce((best, point) => (sign * point[0] > sign * best[0] ? point : best));
    const [first, last] = [known[0], known[known.length - 1]];
    const at = ([value, position]) => `${valueText(line, value)} at ${chart.item ?? "epoch"} ${position}`;
    return `${line.label}: ${at(first)}, ${at(last)}, ${chart.isReversed ? "best" : "highest"} ${at(extreme)}`;
  });
  return `${chart.title}. ${descriptions.join(". ")}.`;
}

/** Return the number of decimals of a line's values. */
const digitsOf = ({ value }) => (value.every((number) => number == null || Number.isInteger(number)) ? 0 : 3);

/** Return a value of a line as text; a share of classes is in percent, as everywhere on the page. */
const valueText = (line, value, digits = digitsOf(line)) => (line.isShare && value != null
  ? `${formatNumber(100 * value, digits < 3 ? 0 : 1)} %` : formatNumber(value, digits));

/** Return the table row below a plot that shows the values of a curve at the cursor. */
function readingRow(line) {
  const value = element("td", { class: "number" });
  const details = element("td", { class: "number faint" });
  const swatch = svgElement("svg", { class: "swatch", viewBox: "0 0 14 8", "aria-hidden": "true" },
    svgElement("line", { x1: 0, x2: 14, y1: 4, y2: 4, class: `${line.colour} ${line.isFaint ? "second" : ""}` }));
  const hasDetails = line.chance || line.low;
  return {
    row: element("tr", {}, element("th", { scope: "row" }, swatch, line.label), value, hasDetails ? details : null),
    show(epoch) {
      const k = line.epochs.indexOf(epoch);
      const [low, high, chance, z] = [line.low, line.high, line.chance, line.z].map((values) => values?.[k] ?? null);
      value.textContent = valueText(line, line.value[k]);
      const parts = [];
      // An end near 0 has the decimals of the other end.
      const end = (number) => valueText(line, Math.max(-low, high) < 0.001 ? number : Math.round(number * 1000) / 1000, 3);
      if (low != null && high != null) parts.push(`${line.isRange ? "" : "95 % CI "}${end(low)} to ${end(high)}`);
      if (chance != null && !line.isRange && !line.isExcess) parts.push(`chance ${valueText(line, chance, 3)}`);
      if (chance != null && !line.isRange && z != null && low == null) parts.push(`z ${deviations(z)}`);
      details.textContent = parts.join(", ");
    },
  };
}

const deviations = (z) => (Math.round(z * 10) / 10).toFixed(1).replace("-", "−");

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
  if (chart.isReversed) low = Math.max(1, low);
  const labels = labelsAtEnds(chart, width, height - MARGIN.top - MARGIN.bottom);
  const labelWidth = Math.max(0, ...labels.map(({ text, isBold }) => textWidth(text, isBold) + 10));
  const phaseRows = chart.phases?.filter((row) => row.phases.length) || [];
  const rows = chart.rows ?? rowTicks(low, high, height, chart.lines[0]?.isShare);
  const left = Math.max(MARGIN.left, ...rows.map(({ text }) => textWidth(text) + 8));
  const right = width - Math.max(MARGIN.right, labelWidth);
  const [top, bottom] = [MARGIN.top + phaseRows.length * PHASE_ROW_HEIGHT, height - MARGIN.bottom];
  return {
    width, height, first, last, low, high, left, right, top, bottom, labels, phaseRows, rows,
    along: chart.along || "epoch", isLog: chart.isLog,
    x: (position) => {
      const [at, from, to] = [position, first, last].map((one) => (chart.isLog ? Math.log1p(Math.max(0, one)) : one));
      return to === from ? (left + right) / 2 : left + ((at - from) / (to - from)) * (right - left);
    },
    y: (value) => {
      const fraction = Math.min(1, Math.max(0, (value - low) / (high - low)));
      return top + (chart.isReversed ? fraction : 1 - fraction) * (bottom - top);
    },
  };
}

/** Return the labels at the right ends of the lines; none if they take more than 45 % of the width, or do not fit in the height. */
function labelsAtEnds(chart, width, height) {
  const labels = chart.lines.filter(({ colour }) => colour).map((line) => {
    const k = line.value.findLastIndex((value) => value != null);
    const value = valueText(line, line.value[k], 2);
    let text = chart.isLarge ? `${line.label} ${value}` : line.name ?? line.label;
    if (chart.lines.length === 1) text = value;
    return { text, value: line.value[k], colour: line.colour, isBold: chart.isLarge };
  });
  const isTooWide = labels.some(({ text, isBold }) => textWidth(text, isBold) > 0.45 * width);
  const shown = isTooWide || labels.length * LABEL_HEIGHT > height ? [] : labels;
  // The chance levels of several runs can be far apart, so the label is at the first one.
  const chance = chart.lines.map((line) => line.chance?.findLast((value) => value != null)).find((value) => value != null);
  if (chance != null) shown.push({ text: "chance", value: chance, colour: null });
  return shown;
}

const textMeasure = document.createElement("canvas").getContext("2d");

function textWidth(text, isBold) {
  textMeasure.font = `${isBold ? "600 12px" : "11px"} ${getComputedStyle(document.body).fontFamily}`;
  return textMeasure.measureText(text).width;
}

/** Return the labels at the ends of the lines, moved apart where they would overlap. */
function endLabels(scale) {
  const marks = scale.labels.map((label) => ({ ...label, y: scale.y(label.value) })).sort((a, b) => a.y - b.y);
  marks.forEach((mark, k) => { if (k) mark.y = Math.max(mark.y, marks[k - 1].y + LABEL_HEIGHT); });
  let limit = scale.bottom + 3;
  for (const mark of marks.toReversed()) {
    mark.y = Math.min(mark.y, limit);
    limit = mark.y - LABEL_HEIGHT;
  }
  const styleOf = ({ colour, isBold }) => (colour ? `end ${colour} ${isBold ? "bold" : ""}` : "end chance-label");
  return marks.map((mark) => svgElement("text", { class: styleOf(mark), x: scale.right + 6, y: mark.y + 4 }, mark.text));
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

function axes({ left, right, bottom, height, first, last, rows, x, y, along, isLog }) {
  let positions = ticks(first, last, Math.max(3, Math.floor((right - left) / 60)));
  if (isLog) { // 0, and 1, 2 and 5 times each power of ten
    const powers = Array.from({ length: Math.floor(Math.log10(last)) + 1 }, (_, power) => 10 ** power);
    positions = [0, ...powers.flatMap((power) => [power, 2 * power, 5 * power]).filter((value) => value <= last)];
  }
  const columns = positions.filter((value) => value >= first && (along === "accuracy" || Number.isInteger(value)));
  const columnStep = columns.length > 1 ? columns[1] - columns[0] : columns[0] || 1;
  return [
    ...rows.flatMap(({ value, text }) => [
      straightLine("grid", [left, right], [y(value), y(value)]),
      tickLabel(text, left - 6, y(value) + 4, "end"),
    ]),
    ...columns.map((value) => tickLabel(tickText(value, columnStep), x(value), height - 21)),
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

/** Return the grey bands and lines of chance. Lines with the same level share one; of many lines, only the widest band is drawn. */
function chanceMarks(chart, scale) {
  let lines = chart.lines.filter((line) => line.chance?.some((level) => level != null));
  if (lines.length > MANY_LINES) lines = [lines.reduce((widest, line) => (meanMargin(line) > meanMargin(widest) ? line : widest))];
  const bands = lines.map((line) => outline(line, (k) => chanceBand(line, k)[0], (k) => chanceBand(line, k)[1], scale));
  const levelOf = (line) => pointsOf(line, (k) => line.chance[k], scale).join("L");
  const levels = lines.map((line) => (line.isExcess ? `M${scale.left} ${scale.y(0)}H${scale.right}` : `M${levelOf(line)}`));
  return [
    svgElement("g", { class: "bands" }, bands.map((points) => svgElement("polygon", { class: "band", points }))),
    ...[...new Set(levels)].map((d) => svgElement("path", { class: "chance", d })),
  ];
}

function meanMargin(line) {
  return (line.margin ?? []).reduce((sum, margin) => sum + (margin ?? 0), 0) / line.epochs.length;
}

/** Return the SVG elements of a curve: its line, and its confidence band unless there are many lines. Single points become dots. */
function curveMarks(line, scale, hasBand) {
  const marks = [];
  if (hasBand && line.low && line.high && !line.hasDots) {
    const points = outline(line, (k) => line.low[k], (k) => line.high[k], scale);
    marks.push(svgElement("polygon", { class: `interval ${line.colour}`, points }));
  }
  const curve = (values, style) => {
    // The path has a gap where a value is missing.
    const isKnown = (k) => values[k] != null && line.x[k] != null;
    const at = (k) => `${scale.x(line.x[k]).toFixed(1)} ${scale.y(values[k]).toFixed(1)}`;
    const step = (k) => (isKnown(k - 1) ? `L${at(k)}` : `M${at(k)}h0`);
    const d = values.map((_, k) => (isKnown(k) ? step(k) : "")).join("");
    const title = line.name && svgElement("title", {}, line.label);
    return svgElement("path", { class: `curve ${line.colour ?? "others"} ${style}`, d }, title);
  };
  if (line.smooth) marks.push(curve(line.value, "unsmoothed"));
  marks.push(curve(line.smooth ?? line.value, line.isFaint ? "second" : ""));
  const dots = line.hasDots ? line.x.map((_, k) => dotAt(line, k, 2.2, scale)).filter(Boolean) : [];
  return [...marks, ...dots];
}

/** Return a dot at the k-th value of a line, or null if the value is missing. */
function dotAt(line, k, r, scale) {
  const [x, value] = [line.x[k], line.value[k]];
  return x == null || value == null ? null : svgElement("circle", { class: line.colour, cx: scale.x(x), cy: scale.y(value), r });
}

/** Return a bar of phases for each run, above the plot. The boundary of two phases is drawn as its confidence interval. */
function phaseMarks(chart, scale) {
  const bar = (style, y, height, x, width, { name, first, last, low, high, reason }) => {
    const interval = low === high ? "" : ` (95 % CI of the end: ${low} to ${high})`;
    const title = svgElement("title", {}, `${name}, epochs ${first} to ${last}${interval}${reason ? `: ${reason}` : ""}`);
    return svgElement("rect", { class: style, x, y, width, height }, title);
  };
  return scale.phaseRows.flatMap((row, k) => {
    const top = MARGIN.top + k * PHASE_ROW_HEIGHT;
    const at = (epoch) => scale.x(Math.min(scale.last, Math.max(scale.first, epoch)));
    const bars = row.phases.flatMap((phase) => {
      const [from, to] = [at(phase.first), at(phase.last)];
      const label = [phase.name, `${phase.name.slice(0, 4)}.`].find((text) => to - from > text.length * 6.3);
      return [
        bar(`phase ${row.colour} ${phase.name}`, top + 10, 5, from, Math.max(0, to - from), phase),
        label ? svgElement("text", { class: "phase-name", x: (from + to) / 2, y: top + 6, "text-anchor": "middle" }, label) : null,
      ];
    });
    const boundaries = row.phases.filter((phase) => phase.low < phase.high).flatMap((phase) => [
      bar(`boundary ${row.colour}`, top + 8.5, 8, at(phase.low), Math.max(1, at(phase.high) - at(phase.low)), phase),
      straightLine(`boundary ${row.colour}`, [at(phase.last), at(phase.last)], [top + 7, top + 18]),
    ]);
    return [...bars, ...boundaries].filter(Boolean);
  });
}

/** Return the classes of the colour and the dashes of a line, which together are unique for 28 lines. */
const colourOf = (index) => `c${index % COLOURS} round-${Math.floor(index / COLOURS) % DASHES}`;

/** Return the line of a curve's values. */
function rawLine({ epochs, value, low, high, chance, chance_std: chanceStd, z }, index, label) {
  const margin = chanceStd?.map((std) => (std == null ? null : NORMAL_QUANTILE * std));
  return { label, colour: colourOf(index), epochs, value, chance, margin, low, high, z };
}

/** Return the line of a SAI's excess over chance, with the margin of chance on the scale of the excess. */
function excessLine({ epochs, excess, low, high, chance, chance_std: chanceStd, z }, index, label, isDistance) {
  const zeros = chance.map((level) => (level == null ? null : 0));
  const scaleAt = (k) => (isDistance ? chance[k] : 1 - chance[k]);
  const margin = chanceStd?.map((std, k) => (std == null ? null : (NORMAL_QUANTILE * std) / scaleAt(k)));
  return { label, colour: colourOf(index), epochs, value: excess, chance: zeros, margin, low, high, z, isExcess: true };
}
