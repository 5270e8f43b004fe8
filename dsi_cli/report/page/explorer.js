// The section of matrices: the controls, the heat maps and their differences, the panel next to them, and surprising pairs below.
//
// A difference is {key, title, more, less, plus, minus}. Each side is {run, matrix, epoch}; epoch null is the shown epoch.

const selection = { scale: "rank", order: null, folds: new Map(), difference: null, classes: [] };
const REST_DELAY = 200; // milliseconds, so that a moving slider redraws only the maps

/**
 * Return the explorer of a run: `show(epoch)`, `select(classes)`, `toggleScale()`, `foldAll()`, and what the page calls for all panels.
 * `changed()` is called after each change of the order, the scale, the difference or the selected classes.
 */
function matrixExplorer(run, runIndex, names, chartActions, changed) {
  const differences = differencesOf(run, runIndex);
  const actions = { chart: chartActions, read: showReading, pair: (i, j) => select([i, j]), one: (index) => select([index]), fold: toggleFold };
  const maps = heatMaps(run, names, selection.scale, actions);
  let epoch = null;
  let charts = [];
  let scatter = null;
  const tokens = { inspector: 0, surprises: 0 };
  let rest = null;
  if (selection.classes.some((index) => index >= names.length)) selection.classes = [];

  byId("matrices").hidden = !run.matrices.length && !run.near;
  byId("maps").dataset.count = maps.node.length;
  byId("maps").replaceChildren(...maps.node);
  maps.maps.forEach((map) => map.node.append(exportMenu(`${run.name} ${map.title}`, { canvas: () => maps.exportCanvas(map), csv: () => maps.exportRows(map) })));
  drawControls();

  function order() {
    return run.orders.find((candidate) => candidate.name === selection.order) || run.orders[0];
  }

  /** Return the differences at the shown epoch, without the difference of the epoch and itself. */
  function availableDifferences() {
    return differences.filter(({ minus }) => minus.epoch !== epoch);
  }

  function difference() {
    return availableDifferences().find(({ key }) => key === selection.difference) || availableDifferences()[0] || null;
  }

  /** Return the folded segments of the order; with many classes, all groups are folded at first. */
  function folded() {
    const key = `${runIndex}/${order().name}`;
    if (!selection.folds.has(key)) selection.folds.set(key, new Set(names.length > FOLD_ABOVE && isFoldable(order()) ? segmentsOf(order()).keys() : []));
    return selection.folds.get(key);
  }

  /** Fold or unfold one segment, or all segments if none is given. */
  function toggleFold(segment = null) {
    if (!isFoldable(order())) return;
    const all = folded();
    if (segment != null && !all.has(segment)) all.add(segment);
    else if (segment != null) all.delete(segment);
    else if (all.size) all.clear();
    else segmentsOf(order()).forEach((_, k) => all.add(k));
    drawControls();
    showMaps();
  }

  function drawControls() {
    const orders = run.orders.map(({ name, title }) => [name, title]);
    byId("matrix-controls").replaceChildren(
      choice("Order of classes", orders, order().name, (name) => { selection.order = name; drawControls(); showMaps(); changed(); }),
      choice("Colours", [["rank", "rank of the pair"], ["raw", "raw values"]], selection.scale, setScale),
      isFoldable(order()) ? element("button", { type: "button", id: "fold-groups", onclick: () => toggleFold() }, folded().size ? "Unfold groups" : "Fold groups") : "",
      element("span", { class: "buttons" },
        element("button", { type: "button", "aria-label": "Zoom in", onclick: () => maps.zoom(1.5) }, "+"),
        element("button", { type: "button", "aria-label": "Zoom out", onclick: () => maps.zoom(1 / 1.5) }, "−"),
        element("button", { type: "button", onclick: () => maps.reset() }, "Show all")),
      element("span", { class: "faint hint" }, `Click on a cell to open its pair of classes, and drag over a square to zoom in.${isFoldable(order()) ? " A click on the coloured edge folds or unfolds a group." : ""}${folded().size ? " A block has the colour of its mean's rank among all blocks." : ""}`));
    byId("group-legend").replaceChildren(...groupLegend(order(), folded(), maps.groups, names).map(({ name, colour, title }) =>
      element("li", { title }, svgElement("svg", { class: "group-swatch", viewBox: "0 0 10 10", "aria-hidden": "true" }, svgElement("rect", { width: 10, height: 10, fill: groupColour(colour) })), name)));
    drawDifferences();
  }

  function drawDifferences() {
    if (!difference()) return;
    const options = availableDifferences().map(({ key, title }) => [key, title]);
    maps.differenceMap.caption.replaceChildren(element("h3", {}, "Difference"),
      choice("Difference shown", options, difference().key, (key) => { selection.difference = key; showMaps(); changed(); }));
  }

  function toggleScale() {
    setScale(selection.scale === "rank" ? "raw" : "rank");
    drawControls();
  }

  function setScale(scale) {
    selection.scale = scale;
    maps.setScale(scale);
    changed();
  }

  function showMaps() {
    return maps.show(epoch, order(), folded(), difference());
  }

  async function show(newEpoch) {
    epoch = newEpoch;
    drawDifferences();
    await showMaps();
    clearTimeout(rest);
    rest = setTimeout(async () => { await showSurprises(); await showInspector(); }, names.length > FOLD_ABOVE ? REST_DELAY : 0);
  }

  async function showSurprises() {
    const token = ++tokens.surprises;
    byId("closest").hidden = !run.near;
    if (!run.near) return;
    const section = await surpriseSection(run, names, epoch, (i, j) => { select([i, j]); byId("inspector").scrollIntoView({ block: "nearest" }); });
    if (token !== tokens.surprises) return;
    byId("closest-body").replaceChildren(...section.parts.filter(Boolean));
    ({ scatter } = section);
    scatter?.draw();
    if (!selection.classes.length) selection.classes = section.start ?? [0];
    maps.select(selection.classes);
  }

  async function showInspector() {
    const token = ++tokens.inspector;
    const [i, j] = selection.classes;
    if (i == null) return;
    const panel = await (j == null ? classPanel(run, names, i, epoch, actions) : pairPanel(run, names, i, j, epoch, actions));
    if (token !== tokens.inspector) return;
    byId("inspector").replaceChildren(...panel.parts.filter(Boolean));
    ({ charts } = panel);
    charts.forEach((chart) => { chart.draw(); chart.mark(epoch); });
  }

  /** Open one class or a pair of classes in the panel, and mark it in the maps. */
  function select(classes) {
    selection.classes = classes;
    unfold(classes);
    maps.select(classes);
    changed();
    return showInspector();
  }

  /** Unfold the groups of some classes. */
  function unfold(classes) {
    const segments = classes.map((index) => segmentsOf(order()).findIndex(({ first, last }) => order().order.slice(first, last + 1).includes(index)));
    if (!segments.some((segment) => folded().delete(segment))) return;
    drawControls();
    showMaps();
  }

  return {
    show, select, order, toggleScale, foldAll: () => toggleFold(),
    paint: () => { drawControls(); maps.paint(); scatter?.draw(); },
    draw: () => { maps.draw(); charts.forEach((chart) => chart.draw()); scatter?.draw(); },
    mark: (at) => charts.forEach((chart) => chart.mark(at)),
  };
}

/** Show the values of a cell in a tooltip next to the pointer, or, for the keyboard, in the line below the matrices. */
function showReading(reading, event = null) {
  const tip = byId("tip");
  const lines = reading ? [`${reading.row} × ${reading.column}`, ...reading.values.map((value) => `${value.title} ${value.text}`)] : [];
  tip.hidden = !reading || !event;
  byId("matrix-readout").textContent = reading && !event ? lines.join(" · ") : "";
  if (tip.hidden) return;
  tip.replaceChildren(element("b", {}, lines[0]), ...reading.values.map((value) => element("div", {}, element("span", {}, value.title), element("span", {}, value.text))));
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  const right = event.clientX + 16 + width > document.documentElement.clientWidth;
  tip.style.left = `${Math.max(4, right ? event.clientX - width - 16 : event.clientX + 16)}px`;
  tip.style.top = `${Math.max(4, Math.min(innerHeight - height - 4, event.clientY + 16))}px`;
}

/** Return the differences that a run offers. */
function differencesOf(run, runIndex) {
  const { own, reference, mistakes } = mainMatrices(run);
  const side = (matrix, epoch = null, of = run) => ({ run: of, matrix, epoch });
  const result = [];
  const add = (key, title, plus, minus, more, less) => result.push({ key, title, plus, minus, more, less });
  if (own && reference) add("reference", `network − ${run.reference}`, side(own), side(reference), "nearer in the network", `nearer in ${run.reference}`);
  if (own && mistakes) add("mistakes", "mistakes − network", side(mistakes), side(own), "more confused", "nearer in the network");
  if (own) {
    for (const epoch of own.epochs) {
      if (own.epochs.length > 1) add(`epoch-${epoch}`, `this epoch − epoch ${epoch}`, side(own), side(own, epoch), "nearer at this epoch", `nearer at epoch ${epoch}`);
    }
    DATA.runs.forEach((other, k) => {
      const { own: matrix } = mainMatrices(other);
      if (k === runIndex || other.classes !== run.classes || matrix?.name !== own.name) return;
      add(`run-${other.name}`, `this run − ${other.name}`, side(own), side(matrix, null, other), "nearer in this run", `nearer in ${other.name}`);
    });
  }
  return result;
}

/** Return a matrix of a run, or undefined. */
function matrixOf(run, wanted) {
  return run.matrices.find(({ name }) => name === wanted);
}

/** Return the similarity matrix of a run's network, its reference, and its first confusion matrix; undefined if missing. */
function mainMatrices(run) {
  return { own: matrixOf(run, run.near?.of), reference: matrixOf(run, "scsm"), mistakes: run.matrices.find(({ symmetric }) => !symmetric) };
}

/** Return the layer of a difference of percentiles (`layerOf`) at an epoch, or null if one of its matrices does not exist. */
async function differenceLayer(difference, epoch, order) {
  const sides = await Promise.all([difference.plus, difference.minus].map(async (side) => {
    const frame = await frameOf(side.matrix, side.epoch ?? epoch, order);
    return frame && { frame, at: layerOf(side.matrix, frame, order.order, "rank") };
  }));
  if (sides.includes(null)) return null;
  // If one matrix has only means of blocks, the means of the same blocks are taken from the other one.
  const starts = sides.map(({ frame }) => frame.starts).find(Boolean);
  const [plus, minus] = sides.map(({ frame, at }) => (starts && !frame.starts ? blockLayer(at, starts, order.order.length) : at));
  return { at: (p, q) => plus(p, q) - minus(p, q), symmetric: difference.plus.matrix.symmetric && difference.minus.matrix.symmetric, starts };
}
