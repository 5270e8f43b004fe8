// The state of the report page (run, epoch, measure, selected classes), and updates of its sections.

const CHART_MEASURE = DATA.curves.quantities[0]?.name ?? "agreement";
const state = { run: 0, epoch: null, cursor: null, number: CHART_MEASURE };
const MAX_FOUND = 100; // classes in the list below the field
const slider = byId("epoch");
const chartActions = { point: setCursor, pick: setEpoch };
let panels = [];
let maps = null;

const run = () => DATA.runs[state.run];

function setRun(index) {
  state.run = index;
  byId("run").value = index;
  const { epochs } = run();
  slider.max = Math.max(0, epochs.length - 1);
  document.querySelectorAll(".run-part").forEach((node) => { node.hidden = Number(node.dataset.run) !== index; });
  maps = matrixExplorer(run(), namesOf(run()), showSmallMatrices);
  byId("agreement").hidden = !run().agreement.length;
  document.querySelector('nav a[href="#agreement"]').hidden = !run().agreement.length;
  byId("matrix-note").textContent = completeEpochsNote(run());
  if (epochs.length) setEpoch(state.epoch == null ? epochs.at(-1) : nearestTo(state.epoch, epochs));
  else showMistakes(null);
}

/** Return the note on the epochs whose matrices the page contains, or an empty text if it contains all. */
function completeEpochsNote({ whole, epochs, matrices }) {
  if (!matrices.some((matrix) => matrix.epochs) || whole.length === epochs.length) return "";
  return `This page contains the matrices of ${whole.length} of ${epochs.length} epochs, chosen by the amount of change: `
    + `${whole.join(", ")}. It shows the nearest of them. The tables contain every value.`;
}

/** Draw all charts with the chosen measure. */
function drawPanels() {
  const quantity = quantityOf(state.number);
  const options = DATA.curves.quantities.map(({ name, title }) => [name, title]);
  const control = options.length > 1 && choice("Measure", options, state.number, (name) => {
    state.number = name;
    drawPanels();
    markPanels();
    showTiles(state.epoch);
  });
  const overview = overviewCharts(quantity, control).map((chart) => curvePanel(chart, chartActions));
  const sections = questionSections(quantity, chartActions);
  byId("hero").replaceChildren(...overview.map(({ node }) => node));
  byId("questions").replaceChildren(...sections.nodes);
  panels = [...overview, ...sections.panels];
  panels.forEach((panel) => panel.draw());
}

function markPanels() {
  panels.forEach((panel) => panel.mark(state.cursor ?? state.epoch, state.cursor != null));
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
  slider.setAttribute("aria-valuetext", epochTitle(run(), epoch));
  const matrixEpoch = run().whole.length ? nearestTo(epoch, run().whole) : epoch;
  for (const [style, shown] of [[".epoch-now", epoch], [".matrix-epoch", matrixEpoch]]) {
    document.querySelectorAll(style).forEach((node) => { node.textContent = run().has_epochs ? shown : "–"; });
  }
  showTiles(epoch);
  if (run().agreement.length) {
    const section = agreementSection(run(), namesOf(run()), epoch);
    byId("agreement-name").textContent = `${run().reference} at ${epochTitle(run(), section.epoch)}`;
    byId("agreement-body").replaceChildren(...section.nodes);
  }
  markPanels();
  maps.show(matrixEpoch);
  showSmallMatrices();
  showMistakes(matrixEpoch);
}

/** Return the values of a run in a tile at an epoch, or else at its last epoch before, or at its first one. */
function tileAt(tile, row, epoch) {
  if (tile === 0 && state.number !== CHART_MEASURE) return tilePoint(quantityOf(state.number), row.run, epoch);
  return row?.points.findLast((point) => point.epoch <= epoch) ?? row?.points[0];
}

/** Show the values at an epoch in the tiles and next to the slider; the first tile shows the chosen measure. */
function showTiles(epoch) {
  for (const node of document.querySelectorAll(".tile-row")) {
    const tile = Number(node.dataset.tile);
    const point = tileAt(tile, DATA.tiles[tile][node.dataset.row], epoch) ?? { value: "–", verdict: "", interval: "" };
    node.querySelector(".tile-value").textContent = point.value;
    const at = point.epoch == null || point.epoch === epoch ? "" : `at epoch ${point.epoch}`;
    const verdict = point.verdict === "above chance" ? "" : point.verdict;
    node.querySelector(".tile-details").textContent = [verdict, point.interval, at].filter(Boolean).join(", ");
    if (tile === 0) markRuler(node.dataset.run, point.value);
  }
  const quantity = quantityOf(state.number);
  const isFirst = state.number === CHART_MEASURE;
  const [tile] = document.querySelectorAll(".tile");
  tile.querySelectorAll(".first-measure").forEach((node) => { node.hidden = !isFirst; });
  const other = tile.querySelector(".other-measure");
  if (other) { // a tile without values has only a reason
    other.hidden = isFirst;
    other.textContent = isFirst ? "" : `${quantity.title}: ${quantity.axis}`;
  }
  const own = DATA.tiles[0].find((row) => row.run === state.run);
  const point = own && tileAt(0, own, epoch);
  const accuracy = accuracies[state.run].get(epoch);
  const facts = [run().name];
  if (point?.epoch === epoch) facts.push(`${quantity.title.replace("Agreement", "agreement")} ${point.value}`);
  if (accuracy != null) facts.push(`accuracy ${formatNumber(100 * accuracy, 0)} %`);
  byId("epoch-facts").textContent = facts.join(" · ");
}

/** Move the mark of a run on the ruler of agreements. */
function markRuler(index, value) {
  const mark = document.querySelector(`.ruler circle[data-run="${index}"]`);
  mark?.setAttribute("cx", `${100 * Math.min(1, Math.max(0, Number(value.replace("−", "-")) || 0))}%`);
}

async function showMistakes(epoch) {
  const shown = state.epoch;
  const nodes = await mistakesSection(run(), namesOf(run()), epoch);
  if (shown === state.epoch) byId("mistakes-body").replaceChildren(...nodes);
}

async function showSmallMatrices() {
  const shown = `${state.run} ${state.epoch} ${maps.order().name}`;
  const { whole } = run();
  const nodes = whole.length ? await smallMatrices(run(), nearestTo(state.epoch, whole), maps.order().order) : [];
  if (shown !== `${state.run} ${state.epoch} ${maps.order().name}`) return;
  byId("small-matrices").replaceChildren(...nodes);
  const legend = element("div", { class: "rank-legend" },
    faint("Each cell is a pair: less similar half"), colourBar(), faint("rank 1, the most similar"));
  byId("small-legend").replaceChildren(...(nodes.length ? [legend] : []));
}

/** Draw the rows of the classes of each suspect. */
async function drawSuspects() {
  for (const [k, node] of [...document.querySelectorAll(".suspect")].entries()) {
    const { run: index, classes } = DATA.suspects[k];
    const pictures = await rowPictures(DATA.runs[index], namesOf(DATA.runs[index]), classes);
    node.querySelector(".strips").replaceChildren(...pictures);
  }
}

function redraw() {
  [...panels, maps].forEach((panel) => panel?.draw());
  markPanels();
}

/** Let the heading of a section fold it. */
function makeFoldable(section) {
  const heading = section.querySelector("h2");
  const button = element("button", { type: "button", class: "fold", onclick: () => fold(!section.classList.contains("folded")) });
  button.append(...heading.childNodes);
  heading.append(button);
  function fold(isFolded) {
    section.classList.toggle("folded", isFolded);
    button.setAttribute("aria-expanded", String(!isFolded));
    if (!isFolded && maps) redraw();
  }
  fold(innerWidth <= 720);
}

const classOf = (values) => Object.fromEntries(DATA.class_columns.map((name, k) => [name, values[k]]));
DATA.classes = DATA.classes.map((rows) => rows.map(classOf));
byId("run").replaceChildren(...DATA.runs.map(({ name }, index) => element("option", { value: index }, name)));
byId("run").addEventListener("change", (event) => setRun(Number(event.target.value)));
slider.addEventListener("input", () => setEpoch(run().epochs[Number(slider.value)]));
addEventListener("themechange", () => { maps?.paint(); showSmallMatrices(); drawSuspects(); });
addEventListener("resize", redraw);
document.querySelectorAll("main > section:not(#overview)").forEach(makeFoldable);
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  const target = link && document.querySelector(link.getAttribute("href"));
  if (target?.classList.contains("folded")) target.querySelector(".fold").click();
});
document.querySelectorAll(".suspect button").forEach((button, k) => button.addEventListener("click", () => {
  const { run: index, classes } = DATA.suspects[k];
  if (index !== state.run) setRun(index);
  document.querySelector('nav a[href="#matrices"]').click();
  maps.select(classes);
}));

const search = byId("search");
const found = byId("found");

/** List the classes whose names contain the text of the field, those that begin with it first. */
function listFound() {
  const wanted = search.value.trim().toLowerCase();
  const places = namesOf(run()).map((name, index) => ({ name, index, at: name.toLowerCase().indexOf(wanted) }));
  const rows = places.filter(({ at }) => at >= 0).sort((a, b) => (a.at > 0) - (b.at > 0) || a.name.localeCompare(b.name));
  const button = ({ name, index }) => linkButton(name, () => {
    search.value = "";
    found.hidden = true;
    document.querySelector('nav a[href="#matrices"]').click();
    maps.select([index]);
  });
  found.replaceChildren(...(rows.length ? rows.slice(0, MAX_FOUND).map(button) : [faint("No class has this name.")]));
  found.hidden = false;
}

search.addEventListener("focus", listFound);
search.addEventListener("input", listFound);
found.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps the focus, so the list stays open
const finder = search.parentNode;
finder.addEventListener("focusout", ({ relatedTarget }) => { found.hidden = !finder.contains(relatedTarget); });
finder.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    event.preventDefault(); // a change of the text would open the list
    found.hidden = true;
  }
  if (event.key === "Enter" && event.target === search) found.querySelector("button")?.click();
});
if (DATA.runs.length) {
  drawPanels();
  setRun(0);
}
drawSuspects();
