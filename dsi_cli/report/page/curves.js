// Panels of curves over epochs: chance levels and bands, phases, a cursor that all share. They know nothing of the page around them.
//
// A panel is {title, axis, lines, phases, along}, along being what stands at the horizontal axis (epoch). A phase is {name, first, last, low, high}. A line is {label, colour, epochs, value} and, where there is one, its chance level as
// {chance, margin} (two deviations either way), its interval as {low, high}, and z. Where isRange, low and high are read out as well.

const PANEL_HEIGHT = 210;
const MARGIN = { left: 46, right: 12, top: 10, bottom: 26 };
const PHASE_NAMES = 12;

/** Return a panel: `node`, `draw()` for its present width, `mark(epoch)` for the cursor. */
function curvePanel(panel, { point = () => {}, pick = () => {} } = {}) {
  const plot = drawn("svg", { class: "plot", role: "img", "aria-label": inWords(panel) });
  const readings = panel.lines.map((line) => reading(line));
  const node = element("figure", { class: "panel" },
    element("figcaption", {}, element("h3", {}, panel.title), element("span", { class: "faint" }, panel.axis)),
    plot,
    panel.phases?.length ? element("p", { class: "faint" }, `Phases: ${panel.phases.map(phaseInWords).join(", ")}.`) : null,
    element("div", { class: "scroll" }, element("table", { class: "readings" }, element("tbody", {}, readings.map((one) => one.row)))));
  let scale = null;
  const at = (event) => nearestEpoch(panel, scale.epoch(event.clientX - plot.getBoundingClientRect().left));
  plot.addEventListener("pointermove", (event) => point(at(event)));
  plot.addEventListener("pointerleave", () => point(null));
  plot.addEventListener("click", (event) => pick(at(event)));
  return {
    node,
    draw() {
      scale = scales(panel, Math.max(220, plot.clientWidth || 320));
      plot.setAttribute("viewBox", `0 0 ${scale.width} ${PANEL_HEIGHT}`);
      plot.replaceChildren(...phaseBands(panel, scale), ...axes(scale), ...panel.lines.flatMap((line) => curve(line, scale)),
        drawn("g", { class: "cursor" }));
    },
    mark(epoch) {
      readings.forEach((one) => one.show(epoch));
      if (scale) plot.querySelector(".cursor").replaceChildren(...cursor(panel, scale, epoch));
    },
  };
}

/** Return the sentence that a screen reader says of a panel. */
function inWords(panel) {
  const told = panel.lines.map((line) => {
    const known = line.value.map((value, k) => [value, line.epochs[k]]).filter(([value]) => value != null);
    if (!known.length) return `${line.label}: nothing`;
    const high = known.reduce((best, one) => (one[0] > best[0] ? one : best));
    const [first, last] = [known[0], known[known.length - 1]];
    return `${line.label}: ${shown(first[0])} at epoch ${first[1]}, ${shown(last[0])} at epoch ${last[1]}, highest ${shown(high[0])} at epoch ${high[1]}`;
  });
  return `${panel.title}. ${told.join(". ")}.`;
}

/** Return the line of numbers below a plot that says a curve's values at the cursor. */
function reading(line) {
  const value = element("td", { class: "number" });
  const chance = element("td", { class: "number faint" });
  const digits = line.value.every((one) => one == null || Number.isInteger(one)) ? 0 : 3;
  const row = element("tr", {}, element("th", { scope: "row" }, swatch(line.colour), line.label), value, line.chance || line.isRange ? chance : null);
  return {
    row,
    show(epoch) {
      const k = line.epochs.indexOf(epoch);
      value.textContent = k < 0 ? "–" : shown(line.value[k], digits);
      const range = line.isRange && k >= 0 ? `${shown(line.low[k])} to ${shown(line.high[k])}` : "";
      if (!line.chance || line.isRange) return void (chance.textContent = range);
      const z = line.z && k >= 0 && line.z[k] != null ? `, z ${deviations(line.z[k])}` : "";
      const level = line.isExcess ? "" : `chance ${shown(line.chance[k])}`;
      chance.textContent = k < 0 || line.chance[k] == null ? "" : level + (level ? z : z.slice(2));
    },
  };
}

function deviations(z) {
  return (Math.round(z * 10) / 10).toFixed(1).replace("-", "−");
}

function swatch(colour) {
  return drawn("svg", { class: "swatch", viewBox: "0 0 14 8", "aria-hidden": "true" },
    drawn("line", { x1: 0, x2: 14, y1: 4, y2: 4, class: colour }));
}

function nearestEpoch(panel, wanted) {
  const all = panel.lines.flatMap((line) => line.epochs);
  return all.reduce((best, one) => (Math.abs(one - wanted) < Math.abs(best - wanted) ? one : best), all[0]);
}

/** Return how epochs and values lie on a plot of a width. */
function scales(panel, width) {
  const epochs = panel.lines.flatMap((line) => [line.epochs[0], line.epochs[line.epochs.length - 1]]);
  const [first, last] = [Math.min(...epochs), Math.max(...epochs)];
  let [low, high] = [Infinity, -Infinity];
  const reach = (find, least, most) => {
    for (const line of panel.lines) {
      line.epochs.forEach((_, k) => find(line, k).filter((one) => one != null).forEach((one) => {
        low = Math.min(low, Math.max(one, least));
        high = Math.max(high, Math.min(one, most));
      }));
    }
  };
  reach((line, k) => [line.value[k], line.low?.[k], line.high?.[k], line.chance?.[k]], -Infinity, Infinity);
  // A wide chance band, as where hardly a mistake is left, may take a part of the plot, but not most of it.
  const [least, most] = [low - (high - low) / 4, high + (high - low) / 4];
  reach(band, least, most);
  const room = (high - low || Math.abs(high) || 1) * 0.05;
  [low, high] = [low === 0 ? 0 : low - room, high + room];
  const [left, right] = [MARGIN.left, width - MARGIN.right];
  const [top, bottom] = [MARGIN.top + (panel.phases?.length ? PHASE_NAMES : 0), PANEL_HEIGHT - MARGIN.bottom];
  return {
    width, first, last, low, high, left, right, top, bottom, along: panel.along || "epoch",
    x: (epoch) => (last === first ? (left + right) / 2 : left + ((epoch - first) / (last - first)) * (right - left)),
    y: (value) => Math.min(bottom, Math.max(top, bottom - ((value - low) / (high - low)) * (bottom - top))),
    epoch: (x) => first + ((x - left) / (right - left)) * (last - first),
  };
}

/** Return the ends of the chance band of a line's point; nothing where it has none. */
function band(line, k) {
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
      drawn("line", { class: "grid", x1: scale.left, x2: scale.right, y1: scale.y(value), y2: scale.y(value) }),
      drawn("text", { class: "tick", x: scale.left - 6, y: scale.y(value) + 4, "text-anchor": "end" },
        tickText(value, step)),
    ]),
    drawn("text", { class: "tick", x: 0, y: PANEL_HEIGHT - 8 }, scale.along),
    ...columns.map((epoch) => drawn("text", { class: "tick", x: scale.x(epoch), y: PANEL_HEIGHT - 8, "text-anchor": "middle" }, epoch)),
    drawn("line", { class: "axis", x1: scale.left, x2: scale.right, y1: scale.bottom, y2: scale.bottom }),
  ];
}

function tickText(value, step) {
  const text = Math.abs(value) >= 10000 ? `${value / 1000}k` : step < 1e-6 ? value.toExponential(1) : value.toFixed(decimals(step));
  return text.replaceAll("-", "−");
}

/** Return a curve's marks: its chance band and level, its interval, the line itself; single points as dots. */
function curve(line, scale) {
  const outline = (lows, highs) => {
    const known = line.epochs.map((epoch, k) => [epoch, lows(k), highs(k)]).filter(([, a, b]) => a != null && b != null);
    const there = known.map(([epoch, , b]) => `${scale.x(epoch).toFixed(1)},${scale.y(b).toFixed(1)}`);
    const back = known.reverse().map(([epoch, a]) => `${scale.x(epoch).toFixed(1)},${scale.y(a).toFixed(1)}`);
    return [...there, ...back].join(" ");
  };
  const marks = [];
  if (line.chance) {
    marks.push(drawn("polygon", { class: `band ${line.colour}`, points: outline((k) => band(line, k)[0], (k) => band(line, k)[1]) }));
    marks.push(drawn("path", { class: `chance ${line.colour}`, d: path(line.epochs, line.chance, scale) }));
  }
  if (line.low && line.high) {
    marks.push(drawn("polygon", { class: `interval ${line.colour}`, points: outline((k) => line.low[k], (k) => line.high[k]) }));
  }
  return [...marks, drawn("path", { class: `curve ${line.colour}`, d: path(line.epochs, line.value, scale) })];
}

function path(epochs, values, scale) {
  let isOn = false;
  return values.map((value, k) => {
    if (value == null) {
      isOn = false;
      return "";
    }
    const at = `${scale.x(epochs[k]).toFixed(1)} ${scale.y(value).toFixed(1)}`;
    const step = isOn ? `L${at}` : `M${at}h0`;
    isOn = true;
    return step;
  }).join("");
}

function phaseBands(panel, scale) {
  return (panel.phases || []).flatMap((phase, k) => {
    const [from, to] = [scale.x(Math.max(phase.first, scale.first)), scale.x(Math.min(phase.last, scale.last))];
    if (!(to > from)) return [];
    const text = [phase.name, `${phase.name.slice(0, 3)}.`, phase.name[0]].find((name) => to - from > name.length * 6.5 + 2);
    const name = text ? drawn("text", { class: "phase-name", x: (from + to) / 2, y: scale.top - 4, "text-anchor": "middle" }, text) : null;
    const area = drawn("rect", { class: `phase phase-${k % 3}`, x: from, y: scale.top - PHASE_NAMES, width: to - from, height: scale.bottom - scale.top + PHASE_NAMES },
      drawn("title", {}, phaseInWords(phase)));
    return name ? [area, name] : [area];
  });
}

function phaseInWords({ name, first, last, low, high }) {
  const ends = low === high ? "" : ` (end ${low} to ${high} at 95 %)`;
  return `${name} epochs ${first} to ${last}${ends}`;
}

function cursor(panel, scale, epoch) {
  if (epoch == null || epoch < scale.first || epoch > scale.last) return [];
  const x = scale.x(epoch);
  const dots = panel.lines.flatMap((line) => {
    const value = line.value[line.epochs.indexOf(epoch)];
    return value == null ? [] : [drawn("circle", { class: line.colour, cx: x, cy: scale.y(value), r: 3.5 })];
  });
  return [drawn("line", { class: "cursor-line", x1: x, x2: x, y1: scale.top, y2: scale.bottom }), ...dots];
}

// From the curves table to panels.

const COLOURS = 7;

/** Return the panels of one run: each raw SAI by itself beside its own chance level, the excess of all together. */
function panelsOfRun(curves, run, measure) {
  const mine = (panel) => panel.series.filter((one) => one.run === run);
  const sai = curves.sai[measure];
  const found = [];
  if (sai && mine(sai).length) {
    found.push({ title: curves.excess.title, axis: curves.excess.axis, phasesOf: alignment(curves, run), lines: mine(sai).map((one, k) => excessLine(one, k, one.label, sai.lower)) });
    mine(sai).forEach((one, k) => found.push({ title: one.label, axis: saiAxis(sai), phasesOf: null, lines: [line(one, k, sai.axis)] }));
  }
  for (const panel of curves.others) {
    if (mine(panel).length) found.push({ title: panel.title, axis: panel.axis, phasesOf: panel.name === "wsi" ? "wsi max" : null, lines: mine(panel).map((one, k) => line(one, k, one.label)) });
  }
  return found;
}

/** Return the name of the curve of a run whose phases its alignment has. */
function alignment(curves, run) {
  const mine = curves.phases.find((phase) => phase.place === run && phase.of_agreement);
  return mine ? mine.curve : null;
}

/** Return the panels of all runs: one for each curve, with a line a run. */
function panelsOfAll(curves, names, measure) {
  const found = [];
  const add = (panel, axis, make) => {
    for (const label of new Set(panel.series.map((one) => one.label))) {
      const lines = panel.series.filter((one) => one.label === label).map((one) => make(one, one.run, names[one.run], panel.lower));
      found.push({ title: axis === curves.excess.axis ? `${label} above chance` : titleOf(panel, label), axis, lines });
    }
  };
  const sai = curves.sai[measure];
  if (sai) {
    add(sai, curves.excess.axis, excessLine);
    add(sai, saiAxis(sai), line);
  }
  curves.others.forEach((panel) => add(panel, panel.axis, line));
  return found;
}

/** Return what a panel of one curve is called. */
function titleOf(panel, label) {
  if (panel.name === "wsi") return `${label[0].toUpperCase()}${label.slice(1)} WSI`;
  return panel.series.every((one) => one.label === label) && panel.name !== "sai" ? panel.title : label;
}

function saiAxis(sai) {
  return sai.axis + (sai.lower ? ", lower is closer" : "");
}

function line(one, place, label) {
  const margin = one.chance_std?.map((std) => (std == null ? null : 2 * std));
  const interval = one.excess ? {} : { low: one.low, high: one.high }; // of a SAI it is that of the excess
  return { label, colour: `c${place % COLOURS}`, epochs: one.epochs, value: one.value, chance: one.chance, margin, ...interval, z: one.z };
}

/** Return a SAI's excess over chance, with what two deviations of chance are on its scale. */
function excessLine(one, place, label, isDistance) {
  const chance = one.chance.map((level) => (level == null ? null : 0));
  const margin = one.chance_std?.map((std, k) => (std == null ? null : (2 * std) / (isDistance ? one.chance[k] : 1 - one.chance[k])));
  return { label, colour: `c${place % COLOURS}`, epochs: one.epochs, value: one.excess || one.value.map(() => null), chance, margin, low: one.low, high: one.high, z: one.z, isExcess: true };
}
