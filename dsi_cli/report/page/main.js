// The state of the report page (run, epoch, order of classes, chosen class), and the update of its sections.

const state = { run: 0, epoch: null, cursor: null, order: null, scale: "rank", measure: DATA.curves.measures[0], all: false, chosen: 0 };
const slider = byId("epoch");
let panels = [];
let maps = null;

function run() {
  return DATA.runs[state.run];
}

function order() {
  return run().orders.find((candidate) => candidate.name === state.order) || run().orders[0];
}

function phasesOf(index) {
  return DATA.curves.phases.filter((phase) => phase.place === index)
    .map((phase) => ({ ...phase, name: phase.phase, first: phase.first_epoch, last: phase.last_epoch }));
}

function setRun(index) {
  const epochBefore = state.epoch;
  state.run = index;
  byId("run").value = index;
  document.querySelectorAll(".go-run").forEach((button) => button.closest("tr").classList.toggle("chosen", Number(button.dataset.run) === index));
  state.chosen = 0;
  const { epochs } = run();
  slider.max = Math.max(0, epochs.length - 1);
  document.querySelectorAll(".run-summary").forEach((node) => { node.hidden = Number(node.dataset.run) !== index; });
  const names = namesOf(run());
  maps = heatMaps(run(), names, { showReading, chooseClass, scale: state.scale });
  byId("maps").dataset.count = maps.node.length;
  byId("maps").replaceChildren(...maps.node);
  byId("matrices").hidden = !run().matrices.length;
  byId("closest").hidden = !run().near;
  byId("agreement").hidden = !run().agreement;
  document.querySelector('nav a[href="#agreement"]').hidden = !run().agreement;
  byId("agreement-title").textContent = `Agreement of single classes with ${run().reference}`;
  byId("agreement-body").replaceChildren(...(run().agreement ? agreementSection(run(), names) : []));
  byId("mistakes-body").replaceChildren(...mistakesSection(run()).filter(Boolean));
  byId("classes-body").replaceChildren(classesSection(run()));
  drawControls();
  drawPanels();
  byId("matrix-note").textContent = completeEpochsNote(run());
  const nearest = (best, epoch) => (Math.abs(epoch - epochBefore) < Math.abs(best - epochBefore) ? epoch : best);
  const epoch = epochBefore == null ? epochs[epochs.length - 1] : epochs.reduce(nearest, epochs[0]);
  if (epoch != null) setEpoch(epoch);
}

/** Return the note on the epochs whose matrices are complete, or an empty text if all are complete. */
function completeEpochsNote({ whole, epochs, matrices }) {
  if (!matrices.some((matrix) => matrix.blocks)) return "";
  const complete = whole.length
    ? `This page contains the complete matrices of ${whole.length} of ${epochs.length} epochs, chosen by the amount of change: ${whole.join(", ")}.`
    : "This page contains no complete matrices.";
  return `${complete} At other epochs, the maps show the means of blocks of neighbouring classes. The tables contain every value.`;
}

function drawControls() {
  const names = run().orders.map(({ name, title }) => [name, title]);
  byId("closest-controls").replaceChildren(classPicker(namesOf(run()), state.chosen, chooseClass));
  byId("matrix-controls").replaceChildren(
    choice("Order of classes", names, order().name, (name) => { state.order = name; showMatrices(); }),
    choice("Colours", [["rank", "rank of the pair"], ["raw", "raw values"]], state.scale, (scale) => { state.scale = scale; maps.setScale(scale, theme()); }),
    element("span", { class: "buttons" },
      element("button", { type: "button", "aria-label": "Zoom in", onclick: () => maps.zoom(1.5) }, "+"),
      element("button", { type: "button", "aria-label": "Zoom out", onclick: () => maps.zoom(1 / 1.5) }, "−"),
      element("button", { type: "button", onclick: () => maps.reset() }, "Show all")),
    element("span", { class: "faint hint" }, "Drag over a square to zoom in. After a click on a map, the wheel and the keys + and − zoom, 0 shows all classes, and the arrow keys move to another cell."));
  const measures = DATA.curves.measures.map((name) => [name, name]);
  byId("curve-controls").replaceChildren(
    measures.length > 1 ? choice("SAI measure", measures, state.measure, (name) => { state.measure = name; drawPanels(); markPanels(); }) : "",
    DATA.runs.length > 1 ? choice("Show", [["one", "this run"], ["all", "all runs"]], state.all ? "all" : "one",
      (value) => { state.all = value === "all"; drawPanels(); markPanels(); }) : "");
}

function drawPanels() {
  const specs = state.all
    ? panelsOfAll(DATA.curves, DATA.runs.map(({ name }) => name), state.measure)
    : panelsOfRun(DATA.curves, state.run, state.measure);
  const phases = state.all ? [] : phasesOf(state.run);
  const actions = { point: setCursor, pick: setEpoch };
  panels = specs.map((spec) => curvePanel({ ...spec, phases: phases.filter((phase) => phase.curve === spec.phasesOf) }, actions));
  byId("panels").replaceChildren(...panels.map((panel) => panel.node));
  panels.forEach((panel) => panel.draw());
}

function markPanels() {
  [...panels, nearestPanel].forEach((panel) => panel?.mark(state.cursor ?? state.epoch));
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
  byId("epoch-facts").textContent = factsAt(epoch);
  markPanels();
  showMatrices();
  showClosest();
}

/** Return the text next to the slider: the SAI excess and the accuracy at an epoch. */
function factsAt(epoch) {
  const facts = [];
  const find = (panel, matches) => panel?.series.find((series) => series.run === state.run && matches(series));
  const alignment = find(DATA.curves.sai[state.measure], (series) => series.isMain && series.of.endsWith(",scsm"));
  const excess = alignment?.excess?.[alignment.epochs.indexOf(epoch)];
  if (excess != null) facts.push(`${alignment.label} excess ${formatNumber(excess)}`);
  const accuracy = find(DATA.curves.others.find((panel) => panel.name === "accuracy"), (series) => series.split === "test");
  const k = accuracy ? accuracy.epochs.indexOf(epoch) : -1;
  if (k >= 0) facts.push(`accuracy ${formatNumber(accuracy.value[k])}`);
  return facts.join(" · ");
}

function showMatrices() {
  return maps.show(state.epoch, order(), theme());
}

let closestToken = 0;
let nearestPanel = null;

async function showClosest() {
  const ownToken = ++closestToken;
  const { parts, panel } = await closestSection(run(), namesOf(run()), state.epoch, state.chosen, chooseClass, { point: setCursor, pick: setEpoch });
  if (ownToken !== closestToken) return;
  byId("closest-body").replaceChildren(...parts);
  nearestPanel = panel;
  nearestPanel?.draw();
  nearestPanel?.mark(state.epoch);
}

function chooseClass(index) {
  const picker = byId("choice-class");
  if (byId("closest-body").contains(document.activeElement)) picker.focus({ preventScroll: true }); // the focused element is about to be replaced
  picker.value = index;
  state.chosen = index;
  showClosest();
}

slider.addEventListener("input", () => setEpoch(run().epochs[Number(slider.value)]));
byId("play").addEventListener("click", player(byId("play"), () => run().epochs, () => state.epoch, setEpoch));
whenThemeChanges(() => maps?.paint(theme()));
document.querySelectorAll(".go-epoch").forEach((button) => button.addEventListener("click", () => setEpoch(Number(button.dataset.epoch))));
document.querySelectorAll(".go-run").forEach((button) => button.addEventListener("click", () => setRun(Number(button.dataset.run))));
byId("run-switch").hidden = DATA.runs.length < 2;
byId("run").replaceChildren(...DATA.runs.map(({ name }, index) => element("option", { value: index }, name)));
byId("run").addEventListener("change", (event) => setRun(Number(event.target.value)));
let resizeFrame = null;
addEventListener("resize", () => {
  cancelAnimationFrame(resizeFrame);
  resizeFrame = requestAnimationFrame(() => { [...panels, nearestPanel].forEach((panel) => panel?.draw()); markPanels(); maps?.draw(); });
});
if (DATA.runs.length) setRun(0);
