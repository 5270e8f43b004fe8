// The state of the report page (run, epoch, order of classes, chosen class), its keys and search field, and updates of sections.

const KEYS = [
  ["/", "find a class"],
  [", and .", "previous and next epoch"],
  ["r", "colours by rank or by raw value"],
  ["f", "fold or unfold the groups of classes"],
  ["Arrow keys, Enter", "in a matrix: move to another cell, and open its pair"],
  ["+, −, 0", "in a matrix: zoom in, zoom out, show all classes"],
  ["?", "show these keys"],
];

/** Return the class that a text means: equal, otherwise the first that begins with it or contains it; −1 if there is none. */
function findClass(names, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return -1;
  const lower = names.map((name) => String(name).toLowerCase());
  const tests = [(name) => name === wanted, (name) => name.startsWith(wanted), (name) => name.includes(wanted)];
  return tests.map((test) => lower.findIndex(test)).find((index) => index >= 0) ?? -1;
}

/** Let keys without a field in focus call the functions of `actions` by key. */
function pageKeys(actions) {
  const rows = KEYS.map(([key, use]) =>
    element("tr", {}, element("th", { scope: "row" }, element("kbd", {}, key)), element("td", {}, use)));
  const dialog = element("dialog", { class: "keys", "aria-label": "Keys" }, element("h2", {}, "Keys"),
    element("table", {}, element("tbody", {}, rows)),
    element("form", { method: "dialog" }, element("button", {}, "Close")));
  document.body.append(dialog);
  const help = () => dialog.showModal();
  byId("show-keys").addEventListener("click", help);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    if (event.target.closest("input:not([type=range]), select, textarea")) return;
    const action = { ...actions, "?": help, "/": () => byId("search").focus() }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

const WRITE_DELAY = 250;
let writeTimer = null;

/** Write the state to the address after a short time without other changes. */
function saveState() {
  clearTimeout(writeTimer);
  writeTimer = setTimeout(() => {
    const names = namesOf(run());
    const fragment = new URLSearchParams({ run: run().name, epoch: state.epoch, order: maps.order().name, scale: selection.scale });
    if (selection.difference) fragment.set("difference", selection.difference);
    for (const [name, usual] of Object.entries(CHARTS)) if (state[name] !== usual) fragment.set(name, state[name]);
    for (const index of selection.classes) {
      const isUnique = names.indexOf(names[index]) === names.lastIndexOf(names[index]);
      fragment.append("class", isUnique ? names[index] : `#${index}`);
    }
    try {
      history.replaceState(null, "", `#${fragment}`);
    } catch {
      // Some frames do not allow a page to change its address.
    }
  }, WRITE_DELAY);
}

/** Return the class of a text in the address, or −1. */
function classOfKey(names, key) {
  const index = names.indexOf(key);
  if (index >= 0) return index;
  const number = /^#(\d+)$/.exec(key);
  return number && Number(number[1]) < names.length ? Number(number[1]) : -1;
}

/** What the charts show at first; the address has what differs from this. */
const CHARTS = {
  runs: DATA.runs.length > 1 ? "all" : "one", axis: "epoch", smoothing: "0", number: DATA.curves.quantities[0]?.name ?? "agreement",
};
/** The first screen shows all runs, without smoothing. */
const FIRST_SCREEN = { runs: DATA.runs.map((_, index) => index), smoothing: 0 };
const state = { run: 0, epoch: null, cursor: null, ...CHARTS };
const slider = byId("epoch");
const chartActions = { point: setCursor, pick: setEpoch };
let panels = [];
let overviewPanels = [];
let maps = null;

const run = () => DATA.runs[state.run];

/** Return which runs the charts show, on which axis, with how much smoothing, and which quantity of two matrices. */
function view() {
  const { number, axis, smoothing } = state;
  const quantity = quantityOf(number);
  const runs = state.runs === "all" ? DATA.runs.map((_, index) => index) : [state.run];
  return { runs, quantity, axis, smoothing: Number(smoothing) };
}

function setRun(index) {
  const epochBefore = state.epoch;
  state.run = index;
  byId("run").value = index;
  const { epochs } = run();
  slider.max = Math.max(0, epochs.length - 1);
  document.querySelectorAll(".run-part").forEach((node) => { node.hidden = Number(node.dataset.run) !== index; });
  const names = namesOf(run());
  maps = matrixExplorer(run(), index, names, chartActions, selectionChanged);
  for (const [id, isMissing] of [["agreement", !run().agreement.length], ["geometry", !run().geometry]]) {
    byId(id).hidden = isMissing;
    document.querySelector(`nav a[href="#${id}"]`).hidden = isMissing;
  }
  byId("geometry-body").replaceChildren(...(run().geometry ? geometrySection(run(), names) : []));
  byId("classes-body").replaceChildren(classesSection(run()));
  drawControls();
  drawPanels();
  byId("matrix-note").textContent = completeEpochsNote(run());
  if (epochs.length) setEpoch(epochBefore == null ? epochs.at(-1) : nearestTo(epochBefore, epochs));
  else showMistakes(null);
}

/** Return the note on the epochs whose matrices are complete, or an empty text if all are complete. */
function completeEpochsNote({ whole, epochs, matrices }) {
  if (!matrices.some((matrix) => matrix.blocks)) return "";
  const share = `the complete matrices of ${whole.length} of ${epochs.length} epochs, chosen by the amount of change`;
  const complete = whole.length ? `${share}: ${whole.join(", ")}` : "no complete matrices";
  return `This page contains ${complete}. At other epochs, the maps show the means of blocks of neighbouring classes. `
    + "The tables contain every value.";
}

/** Return the options of a choice for the charts as [value, title]; none if there is nothing to choose. */
function chartOptions(name) {
  const hasCurves = view().runs.some((index) => DATA.runs[index].epochs.length > 2);
  if (name === "runs") return DATA.runs.length > 1 ? [["one", "this run"], ["all", "all runs"]] : [];
  if (name === "number") {
    const { quantities } = DATA.curves;
    return quantities.length > 1 ? quantities.map((quantity) => [quantity.name, quantity.title]) : [];
  }
  if (!hasCurves) return [];
  return name === "axis" ? axesOf(view().runs) : [["0", "none"], ["3", "mean of 3 epochs"], ["7", "mean of 7 epochs"]];
}

function drawControls() {
  const list = (label, name) => (!chartOptions(name).length ? "" : choice(label, chartOptions(name), state[name], (value) => {
    state[name] = value;
    drawControls();
    drawPanels();
    markPanels();
    showTiles(state.epoch);
    saveState();
  }));
  byId("curve-controls").replaceChildren(list("Show", "runs"), list("Horizontal axis", "axis"), list("Smoothing", "smoothing"),
    list("Measure", "number"));
}

function drawPanels() {
  const { nodes, panels: drawn } = questionSections(view(), chartActions);
  panels = drawn;
  byId("questions").replaceChildren(...nodes);
  overviewPanels = overviewCharts({ ...view(), ...FIRST_SCREEN }, chartActions);
  byId("hero").replaceChildren(...overviewPanels.map((panel) => panel.node));
  allPanels().forEach((panel) => panel.draw());
}

const allPanels = () => [...overviewPanels, ...panels, maps].filter(Boolean);

function markPanels() {
  allPanels().forEach((panel) => panel.mark(state.cursor ?? state.epoch));
}

function setCursor(epoch) {
  if (epoch === state.cursor) return;
  state.cursor = epoch;
  markPanels();
}

function setEpoch(epoch) {
  const index = run().epochs.indexOf(epoch);
  if (index < 0) return;
  state.epoch = epoch;
  state.cursor = null;
  slider.value = index;
  const epochText = run().has_epochs ? epoch : "–";
  slider.setAttribute("aria-valuetext", `epoch ${epochText}`);
  document.querySelectorAll(".epoch-now").forEach((node) => { node.textContent = epochText; });
  showTiles(epoch);
  if (run().agreement.length) {
    const section = agreementSection(run(), namesOf(run()), epoch);
    byId("agreement-name").textContent = `${run().reference} at ${epochTitle(run(), section.epoch)}`;
    byId("agreement-body").replaceChildren(...section.nodes);
  }
  markPanels();
  maps.show(epoch);
  showSmallMatrices();
  showMistakes(epoch);
  saveState();
}

/** Return the values of a run in a tile at an epoch, or else at its last epoch before, or at its first one. */
function tileAt(tile, row, epoch) {
  if (tile === 0 && state.number !== CHARTS.number) return tilePoint(view(), row.run, epoch);
  return row?.points.findLast((point) => point.epoch <= epoch) ?? row?.points[0];
}

/** Show the values at an epoch in the tiles and next to the slider; the first tile shows the chosen measure. */
function showTiles(epoch) {
  const { quantity } = view();
  for (const node of document.querySelectorAll(".tile-row")) {
    const tile = Number(node.dataset.tile);
    const point = tileAt(tile, DATA.tiles[tile][node.dataset.row], epoch) ?? { value: "–", verdict: "", details: "" };
    const { epoch: at, value, verdict, details } = point;
    node.querySelector(".tile-value").textContent = value;
    const text = [at == null || at === epoch ? "" : `at epoch ${at}`, details].filter(Boolean).join("; ");
    const style = `verdict ${verdict.split(" ")[0]}`;
    node.querySelector(".tile-details").replaceChildren(element("span", { class: style }, verdict), ` ${text}`);
  }
  const isFirst = state.number === CHARTS.number;
  const [tile] = document.querySelectorAll(".tile");
  tile.querySelectorAll(".first-measure").forEach((node) => { node.hidden = !isFirst; });
  const other = tile.querySelector(".other-measure");
  if (other) other.hidden = isFirst; // a tile without values has only a reason
  if (other) other.textContent = isFirst ? "" : `${quantity.title} of the network with ${run().reference}: ${quantity.axis}`;

  const own = DATA.tiles[0].find((row) => row.run === state.run);
  const point = own && tileAt(0, own, epoch);
  const accuracy = accuracies[state.run].get(epoch);
  byId("epoch-facts").textContent = [point?.epoch === epoch && `${quantity.title.replace("Agreement", "agreement")} ${point.value}`,
    accuracy != null && `accuracy ${formatNumber(accuracy, 2)}`].filter(Boolean).join(" · ");
}

async function showMistakes(epoch) {
  const nodes = await mistakesSection(run(), namesOf(run()), epoch);
  if (epoch === state.epoch) byId("mistakes-body").replaceChildren(...nodes.filter(Boolean));
}

let smallToken = 0; // the number of the last call, because an earlier call may finish later
let smallOrder = null;

async function showSmallMatrices() {
  const ownToken = ++smallToken;
  smallOrder = maps.order().name;
  const nodes = run().matrices.length ? await smallMatrices(run(), state.epoch, maps.order()) : [];
  if (ownToken !== smallToken) return;
  byId("small-matrices").replaceChildren(...nodes);
  const legend = element("div", { class: "rank-legend" },
    faint("One cell per pair of classes: less similar half"), colourBar(), faint("rank 1, the most similar pair"));
  byId("small-legend").replaceChildren(...(nodes.length ? [legend] : []));
}

/** Draw the rows of the classes of each suspect, and let its button select them in the matrices. */
async function drawSuspects() {
  for (const [k, node] of [...document.querySelectorAll(".suspect")].entries()) {
    const { run: index, classes } = DATA.suspects[k];
    const canvas = await rowsPicture(DATA.runs[index], classes);
    if (!canvas) continue;
    const names = classes.map((one) => namesOf(DATA.runs[index])[one]).join(", ");
    const title = `Rows of ${names} in the network and in ${DATA.runs[index].reference}`;
    Object.assign(canvas, { title, role: "img", ariaLabel: title });
    node.querySelector("canvas")?.remove();
    node.prepend(canvas);
  }
}

document.querySelectorAll(".suspect button").forEach((button, k) => button.addEventListener("click", () => {
  const { run: index, classes } = DATA.suspects[k];
  if (index !== state.run) setRun(index);
  document.querySelector('nav a[href="#matrices"]').click();
  maps.select(classes);
}));

slider.addEventListener("input", () => setEpoch(run().epochs[Number(slider.value)]));
byId("play").addEventListener("click", player(byId("play"), () => run().epochs, () => state.epoch, setEpoch));
addEventListener("themechange", () => { maps?.paint(); showSmallMatrices(); drawSuspects(); });
DATA.runs.forEach((item) => { item.steps = new Map(item.steps); });
const classOf = (values) => Object.fromEntries(DATA.class_columns.map((name, k) => [name, values[k]]));
DATA.classes = DATA.classes.map((rows) => rows.map(classOf));
byId("run").hidden = DATA.runs.length < 2;
byId("run").replaceChildren(...DATA.runs.map(({ name }, index) => element("option", { value: index }, name)));
byId("run").addEventListener("change", (event) => setRun(Number(event.target.value)));
function redraw() {
  allPanels().forEach((panel) => panel.draw());
  markPanels();
}

matchMedia("print").addEventListener("change", redraw);
addEventListener("resize", redraw);
const isNarrow = innerWidth <= 720;
document.querySelectorAll("main > section:not(#overview)").forEach((section) => makeFoldable(section, isNarrow));
byId("print-all").addEventListener("click", () => { document.documentElement.dataset.print = "all"; redraw(); print(); });
addEventListener("afterprint", () => { delete document.documentElement.dataset.print; });
addEventListener("hashchange", () => { if (location.hash.includes("=")) restoreState(); });
document.querySelectorAll('nav a[href^="#"]').forEach((link) => link.addEventListener("click", (event) => {
  event.preventDefault(); // the fragment of the address keeps the state
  document.querySelector(link.getAttribute("href")).scrollIntoView();
}));
const search = byId("search");
search.addEventListener("focus", () => {
  byId("class-names").replaceChildren(...namesOf(run()).map((name) => element("option", { value: name })));
});
search.addEventListener("input", () => search.setCustomValidity(""));
search.addEventListener("keydown", (event) => {
  if (event.key === "Escape") search.blur();
  if (event.key !== "Enter") return;
  const index = findClass(namesOf(run()), search.value);
  if (index < 0) {
    search.setCustomValidity("No class has this name.");
    search.reportValidity();
    return;
  }
  search.value = "";
  search.blur();
  document.querySelector('nav a[href="#matrices"]').click();
  maps.select([index]);
});
pageKeys({ ",": () => stepEpoch(-1), ".": () => stepEpoch(1), r: () => maps.toggleScale(), f: () => maps.foldAll() });
if (DATA.runs.length) restoreState();
drawSuspects();

/** Show the run, epoch, classes, colours and charts of the address; other values stay as they are. */
function restoreState() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const index = Math.max(0, DATA.runs.findIndex(({ name }) => name === wanted.get("run")));
  const names = namesOf(DATA.runs[index]);
  if (wanted.get("order")) selection.order = wanted.get("order");
  if (["rank", "raw"].includes(wanted.get("scale"))) selection.scale = wanted.get("scale");
  selection.difference = wanted.get("difference");
  const classes = wanted.getAll("class").map((key) => classOfKey(names, key)).filter((one) => one >= 0);
  if (classes.length) selection.classes = classes;
  state.run = index;
  for (const name of Object.keys(CHARTS)) {
    if (chartOptions(name).some(([value]) => value === wanted.get(name))) state[name] = wanted.get(name);
  }
  setRun(index);
  if (wanted.has("epoch")) setEpoch(Number(wanted.get("epoch")));
}

function selectionChanged() {
  saveState();
  if (maps.order().name !== smallOrder) showSmallMatrices();
}

function stepEpoch(step) {
  const epoch = run().epochs[run().epochs.indexOf(state.epoch) + step];
  if (epoch != null) setEpoch(epoch);
}

/** Let the heading of a section fold it. A link to a folded section unfolds it. */
function makeFoldable(section, isFolded) {
  const heading = section.querySelector("h2");
  const button = element("button", { type: "button", class: "fold", onclick: () => fold(!section.classList.contains("folded")) });
  button.append(...heading.childNodes);
  heading.append(button);
  function fold(value) {
    section.classList.toggle("folded", value);
    button.setAttribute("aria-expanded", String(!value));
    if (!value && maps) redraw();
  }
  fold(isFolded);
  document.querySelectorAll(`a[href="#${section.id}"]`).forEach((link) => link.addEventListener("click", () => fold(false)));
}

/** Return the click handler of the play button: it plays from the current epoch for at most 12 seconds, restarts, or pauses. */
function player(button, epochs, current, setEpoch) {
  let timer = null;
  const setButton = (symbol, name) => { button.textContent = symbol; button.setAttribute("aria-label", name); };
  const stop = () => { clearInterval(timer); timer = null; setButton("▶", "Play"); };
  const step = () => {
    const next = epochs()[epochs().indexOf(current()) + 1];
    if (next == null) stop();
    else setEpoch(next);
  };
  return () => {
    if (timer) return stop();
    if (current() === epochs().at(-1)) setEpoch(epochs()[0]);
    setButton("❚❚", "Pause");
    timer = setInterval(step, Math.max(120, Math.min(500, 12000 / epochs().length)));
  };
}
