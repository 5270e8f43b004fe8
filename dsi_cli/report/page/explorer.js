// The section of matrices: the controls, the heat maps and their differences, the panel next to them, and surprising pairs below.
//
// A difference is {key, title, more, less, plus, minus}. Each side is {run, matrix, epoch}; epoch null is the shown epoch.

const selection = { scale: "rank", order: null, folds: new Map(), difference: null, classes: [] };
const REST_DELAY = 200; // milliseconds, so that a moving slider redraws only the maps

/**
 * Return the explorer of a run: `show(epoch)`, `select(classes)`, `toggleScale()`, `foldAll()`, and what the page calls for all
 * panels. `changed()` is called after each change of the order, the scale, the difference or the selected classes.
 */
function matrixExplorer(run, runIndex, names, chartActions, changed) {
  const differences = differencesOf(run, runIndex);
  const actions = { chart: chartActions, read: showReading, open: (...classes) => select(classes), fold: toggleFold };
  const maps = heatMaps(run, names, actions);
  let epoch = null;
  let charts = [];
  let scatter = null;
  const tokens = { inspector: 0, surprises: 0 };
  let rest = null;
  if (selection.classes.some((index) => index >= names.length)) selection.classes = [];

  byId("matrices").hidden = !run.matrices.length && !run.near;
  byId("maps").dataset.count = maps.maps.length;
  byId("maps").replaceChildren(...maps.maps.map(({ node }) => node));
  maps.maps.forEach((map) => map.node.append(exportMenu(`${run.name} ${map.title}`,
    { canvas: () => maps.exportCanvas(map), csv: () => maps.exportRows(map) })));
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
    const isFolded = names.length > FOLD_ABOVE && isFoldable(order());
    if (!selection.folds.has(key)) selection.folds.set(key, new Set(isFolded ? segmentsOf(order()).keys() : []));
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
    const canFold = isFoldable(order());
    const isFolded = folded().size > 0;
    const button = (text, onclick, attributes = {}) => element("button", { type: "button", ...attributes, onclick }, text);
    byId("matrix-controls").replaceChildren(
      choice("Order of classes", orders, order().name, (name) => { change({ order: name }); drawControls(); }),
      choice("Colours", [["rank", "rank of the pair"], ["raw", "raw values"]], selection.scale, setScale),
      canFold ? button(isFolded ? "Unfold groups" : "Fold groups", () => toggleFold(), { id: "fold-groups" }) : "",
      element("span", { class: "buttons" },
        button("+", () => maps.zoom(1.5), { "aria-label": "Zoom in" }),
        button("−", () => maps.zoom(1 / 1.5), { "aria-label": "Zoom out" }),
        button("Show all", () => maps.reset())),
      element("span", { class: "faint hint" }, "Click on a cell to open its pair of classes, and drag over a square to zoom in."
        + (canFold ? " A click on the coloured edge folds or unfolds a group." : "")
        + (isFolded ? " A block has the colour of its mean's rank among all blocks." : "")));
    const swatch = (colour) => svgElement("svg", { class: "group-swatch", viewBox: "0 0 10 10", "aria-hidden": "true" },
      svgElement("rect", { width: 10, height: 10, fill: groupColour(colour) }));
    let legend = [...maps.groups.numbers].map(([name, colour]) => ({ name, colour }));
    if (isFolded) { // all segments, with the numbers that the edges of the maps have
      legend = segmentsOf(order()).map(({ title, first, last }, k) => {
        const classes = order().order.slice(first, last + 1);
        const members = classes.map((index) => names[index]);
        return { name: `${k + 1} ${title ?? members[0]}`, colour: maps.groups.of[classes[0]], title: members.join(", ") };
      });
    }
    byId("group-legend").replaceChildren(...legend.map(({ name, colour, title }) =>
      element("li", { title }, swatch(colour), name)));
    drawDifferences();
  }

  function drawDifferences() {
    if (!difference()) return;
    const options = availableDifferences().map(({ key, title }) => [key, title]);
    const list = choice("Difference shown", options, difference().key, (key) => change({ difference: key }));
    maps.differenceMap.caption.replaceChildren(element("h3", {}, "Difference"), list);
  }

  function change(values) {
    Object.assign(selection, values);
    showMaps();
    changed();
  }

  function toggleScale() {
    setScale(selection.scale === "rank" ? "raw" : "rank");
    drawControls();
  }

  function setScale(scale) {
    selection.scale = scale;
    maps.paint();
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
    const open = (i, j) => { select([i, j]); byId("inspector").scrollIntoView({ block: "nearest" }); };
    const section = await surpriseSection(run, names, epoch, open);
    if (token !== tokens.surprises) return;
    byId("closest-body").replaceChildren(...section.parts.filter(Boolean));
    ({ scatter } = section);
    scatter?.draw();
    if (!selection.classes.length) selection.classes = section.start ?? [0];
    maps.showSelected();
    changed();
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
    // Unfold the groups of the classes.
    const positions = classes.map((index) => order().order.indexOf(index));
    const segments = positions.map((position) => segmentsOf(order()).findIndex(({ last }) => position <= last));
    if (segments.filter((segment) => folded().delete(segment)).length) {
      drawControls();
      showMaps();
    }
    maps.showSelected();
    changed();
    return showInspector();
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
  const { row, column, values } = reading ?? { values: [] };
  const lines = [`${row} × ${column}`, ...values.map(({ title, text }) => `${title} ${text}`)];
  tip.hidden = !reading || !event;
  byId("matrix-readout").textContent = reading && !event ? lines.join(" · ") : "";
  if (tip.hidden) return;
  const rows = values.map(({ title, text }) => element("div", {}, element("span", {}, title), element("span", {}, text)));
  tip.replaceChildren(element("b", {}, lines[0]), ...rows);
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
  const inNetwork = "nearer in the network";
  if (!own) return result;
  const name = run.reference;
  if (reference) add("reference", `network − ${name}`, side(own), side(reference), inNetwork, `nearer in ${name}`);
  if (mistakes) add("mistakes", "mistakes − network", side(mistakes), side(own), "more confused", inNetwork);
  for (const epoch of own.epochs.length > 1 ? own.epochs : []) {
    const title = `this epoch − epoch ${epoch}`;
    add(`epoch-${epoch}`, title, side(own), side(own, epoch), "nearer at this epoch", `nearer at epoch ${epoch}`);
  }
  DATA.runs.forEach((other, k) => {
    const { own: matrix } = mainMatrices(other);
    if (k === runIndex || other.classes !== run.classes || matrix?.name !== own.name) return;
    const title = `this run − ${other.name}`;
    add(`run-${other.name}`, title, side(own), side(matrix, null, other), "nearer in this run", `nearer in ${other.name}`);
  });
  return result;
}

/** Return a matrix of a run, or undefined. */
const matrixOf = (run, wanted) => run.matrices.find(({ name }) => name === wanted);

/** Return the similarity matrix of a run's network, its reference, and its first confusion matrix; undefined if missing. */
function mainMatrices(run) {
  const mistakes = run.matrices.find(({ symmetric }) => !symmetric);
  return { own: matrixOf(run, run.near?.of), reference: matrixOf(run, "scsm"), mistakes };
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
  const symmetric = difference.plus.matrix.symmetric && difference.minus.matrix.symmetric;
  return { at: (p, q) => plus(p, q) - minus(p, q), symmetric, starts };
}
