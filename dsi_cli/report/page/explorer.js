// The section of matrices: the controls, the heat maps, the panel of the selected classes, and the surprising and closest pairs.

const selection = { order: null, classes: [] };
const REST_DELAY = 200; // milliseconds, so that a moving slider redraws only the maps
const MANY_CLASSES = 100;
const SURPRISES = 8;

/**
 * Return the explorer of a run: `show(epoch)`, `select(classes)`, `order()`, and what the page calls when it is drawn again.
 * `reordered()` is called after a change of the order.
 */
function matrixExplorer(run, names, reordered) {
  const actions = { read: showReading, open: (...classes) => select(classes) };
  const maps = heatMaps(run, names, actions);
  let epoch = null;
  let rest = null;
  if (selection.classes.some((index) => index >= names.length)) selection.classes = [];
  byId("matrices").hidden = !run.matrices.length;
  byId("maps").replaceChildren(...maps.nodes);
  drawControls();

  function order() {
    return run.orders.find((candidate) => candidate.name === selection.order) || run.orders[0];
  }

  function drawControls() {
    const orders = run.orders.map(({ name, title }) => [name, title]);
    const button = (text, onclick, label) => element("button", { type: "button", "aria-label": label, onclick }, text);
    byId("matrix-controls").replaceChildren(
      choice("Order of classes", orders, order().name, (name) => {
        selection.order = name;
        maps.show(epoch, order().order);
        reordered();
      }),
      element("span", { class: "buttons" }, button("+", () => maps.showSelected(1.5), "Zoom in"),
        button("−", () => maps.showSelected(1 / 1.5), "Zoom out"), button("Show all", maps.showAll, "Show all classes")),
      faint("A click on a cell opens its pair of classes. Zoomed maps move to it."));
    byId("group-legend").replaceChildren(...[...maps.groups.numbers].map(([name, k]) => element("li", {},
      svgElement("svg", { class: "swatch", viewBox: "0 0 10 10", "aria-hidden": "true" },
        svgElement("rect", { width: 10, height: 10, fill: groupColour(k) }),
        groupLines(k).map((at) => svgElement("rect", { class: "group-line", x: 10 * at - 1, width: 2, height: 10 }))), name)));
  }

  async function show(newEpoch) {
    epoch = newEpoch;
    await maps.show(epoch, order().order);
    clearTimeout(rest);
    rest = setTimeout(async () => { await showPairs(); await showInspector(); }, names.length > MANY_CLASSES ? REST_DELAY : 0);
  }

  async function showPairs() {
    const shownEpoch = epoch;
    byId("closest").hidden = !mainMatrices(run).own;
    if (byId("closest").hidden) return;
    const pairs = await pairTables(run, names, shownEpoch, (i, j) => select([i, j]));
    if (shownEpoch !== epoch) return;
    byId("closest-body").replaceChildren(...pairs.tables);
    if (!selection.classes.length) selection.classes = pairs.start;
    maps.showSelected();
  }

  async function showInspector() {
    const shown = `${epoch} ${selection.classes}`;
    const [i, j] = selection.classes;
    if (i == null) return;
    const panel = j == null ? await classPanel(run, names, i, epoch, actions)
      : await pairPanel(run, names, i, j, epoch, actions);
    if (shown !== `${epoch} ${selection.classes}`) return;
    const closing = { type: "button", class: "close", "aria-label": "Close", onclick: () => openSheet(false) };
    byId("inspector").replaceChildren(element("button", closing, "✕"), ...panel.filter(Boolean));
  }

  /** Open one class or some classes in the panel, and mark them in the maps. */
  function select(classes) {
    selection.classes = classes;
    maps.showSelected();
    openSheet(true);
    return showInspector();
  }

  return { show, select, order, paint: maps.paint, draw: maps.draw };
}

/** Show or hide the panel of the selected classes, which is a sheet at the bottom of a small screen. */
const openSheet = (isOpen) => byId("inspector").classList.toggle("open", isOpen);

/** Show the values of a cell in a tooltip next to the mouse. */
function showReading(reading, event) {
  const tip = byId("tip");
  tip.hidden = !reading || event.pointerType !== "mouse";
  if (tip.hidden) return;
  const rows = reading.values.map((one) => element("div", {}, element("span", {}, one.title), element("span", {}, one.text)));
  tip.replaceChildren(element("b", {}, `${reading.row} × ${reading.column}`), ...rows);
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  const right = event.clientX + 16 + width > document.documentElement.clientWidth;
  tip.style.left = `${Math.max(4, right ? event.clientX - width - 16 : event.clientX + 16)}px`;
  tip.style.top = `${Math.max(4, Math.min(innerHeight - height - 4, event.clientY + 16))}px`;
}

/** Return the matrix of a run with a name, or undefined. */
const matrixOf = (run, wanted) => run.matrices.find(({ name }) => name === wanted);

/** Return the similarity matrix of a run's network, its reference, and its first confusion matrix; undefined if missing. */
function mainMatrices(run) {
  const mistakes = run.matrices.find(({ symmetric }) => !symmetric);
  return { own: matrixOf(run, run.own), reference: matrixOf(run, "scsm"), mistakes };
}

/** Call `visit(i, j, k)` for each pair of classes i < j in the order of a symmetric frame, where k is the index in the frame. */
function forEachPair(size, visit) {
  for (let k = 0, i = 0; i < size; i++) {
    for (let j = i + 1; j < size; j++, k++) visit(i, j, k);
  }
}

/** Return the pairs with the highest values above 0, where `valueAt(k)` is the value of the k-th pair: [{i, j, k, value}]. */
function highestPairs(size, valueAt, count) {
  let best = [];
  let lowest = 0;
  forEachPair(size, (i, j, k) => {
    const value = valueAt(k);
    if (!(value > lowest)) return;
    best.push({ i, j, k, value });
    if (best.length > 4 * count) {
      best = best.sort((a, b) => b.value - a.value).slice(0, count);
      lowest = best.at(-1).value;
    }
  });
  return best.sort((a, b) => b.value - a.value).slice(0, count);
}

/** Return the tables of surprising and of closest pairs at an epoch, and the classes that are selected at first. */
async function pairTables(run, names, epoch, open) {
  const { own, reference } = mainMatrices(run);
  const [near, frame, referenceFrame] = await Promise.all([nearestAt(run, epoch), frameOf(own, epoch), frameOf(reference, epoch)]);
  const title = ({ i, j }) => `${names[i]} – ${names[j]}`;
  const pair = { title: "pair", value: title, node: (row) => linkButton(title(row), () => open(row.i, row.j)) };
  const percentiles = (of) => of && Float32Array.from(of.codes, (code) => ranksOf(of).percentile[code]);
  const [x, y] = [percentiles(referenceFrame), percentiles(frame)];
  const referenceRank = ({ i, j }) => {
    const percentile = x[frameIndex({ symmetric: true }, names.length, i, j)];
    return Number.isNaN(percentile) ? null : rankAt(percentile, ranksOf(referenceFrame).pairs);
  };
  const closest = dataTable("Closest pairs in the network", [
    pair, { ...numberColumn("similarity", "value"), text: ({ value }) => formatValue(value, near.scale) },
    x && rankColumn(run.reference, "referenceRank"),
  ], (near?.pairs ?? []).map((row) => ({ ...row, referenceRank: x && referenceRank(row) })));
  if (!x || !y) return { tables: [closest], start: near?.pairs.length ? [near.pairs[0].i, near.pairs[0].j] : [0] };
  const rank = (name, key, { pairs }) =>
    ({ ...numberColumn(`rank in ${name}`, key), text: (row) => roundedRank(rankAt(row[key], pairs)) });
  const columns = [pair, rank("the network", "y", ranksOf(frame)), rank(run.reference, "x", ranksOf(referenceFrame))];
  const [nearer, farther] = [1, -1].map((sign) => highestPairs(names.length, (k) => sign * (y[k] - x[k]), SURPRISES)
    .map((found) => ({ ...found, x: x[found.k], y: y[found.k] })));
  return {
    tables: [dataTable(`Nearer in the network than in ${run.reference}`, columns, nearer),
      dataTable(`Nearer in ${run.reference} than in the network`, columns, farther), closest],
    start: nearer.length ? [nearer[0].i, nearer[0].j] : [0],
  };
}
