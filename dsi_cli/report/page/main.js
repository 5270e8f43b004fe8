// The page: what is looked at, and how its parts follow.

const state = { run: 0, epoch: null, cursor: null, order: null, measure: DATA.curves.measures[0], all: false, chosen: 0 };
const slider = byId("epoch");
let panels = [];
let maps = null;

function run() {
  return DATA.runs[state.run];
}

function order() {
  return run().orders.find((one) => one.name === state.order) || run().orders[0];
}

function phasesOf(index) {
  return DATA.curves.phases.filter((phase) => phase.place === index)
    .map((phase) => ({ ...phase, name: phase.phase, first: phase.first_epoch, last: phase.last_epoch }));
}

function setRun(index) {
  const before = state.epoch;
  state.run = index;
  byId("run").value = index;
  document.querySelectorAll(".go-run").forEach((button) => button.closest("tr").classList.toggle("chosen", Number(button.dataset.run) === index));
  state.chosen = 0;
  const { epochs } = run();
  slider.max = Math.max(0, epochs.length - 1);
  document.querySelectorAll(".run-summary").forEach((node) => { node.hidden = Number(node.dataset.run) !== index; });
  const names = namesOf(run());
  maps = heatMaps(run(), names, { tell, chosen: choose });
  byId("maps").dataset.count = maps.node.length;
  byId("maps").replaceChildren(...maps.node);
  byId("matrices").hidden = !run().matrices.length;
  byId("closest").hidden = !run().near;
  byId("agreement").hidden = !run().agreement;
  document.querySelector('nav a[href="#agreement"]').hidden = !run().agreement;
  byId("agreement-title").textContent = `Which classes agree with ${run().reference}`;
  byId("agreement-body").replaceChildren(...(run().agreement ? agreementSection(run(), names) : []));
  byId("mistakes-body").replaceChildren(...mistakesSection(run()).filter(Boolean));
  byId("classes-body").replaceChildren(classesSection(run()));
  drawControls();
  drawPanels();
  byId("matrix-note").textContent = wholeNote(run());
  const nearest = before == null ? epochs[epochs.length - 1] : epochs.reduce((best, one) => (Math.abs(one - before) < Math.abs(best - before) ? one : best), epochs[0]);
  if (nearest != null) setEpoch(nearest);
}

function wholeNote({ whole, epochs, matrices }) {
  if (!matrices.some((matrix) => matrix.blocks)) return "";
  const kept = whole.length ? `Whole at ${whole.length} of ${epochs.length} epochs, chosen by how much changes: ${whole.join(", ")}.` : "No epoch is kept whole.";
  return `${kept} Between them the maps show means of blocks of neighbouring classes; the tables have every value.`;
}

function drawControls() {
  const names = run().orders.map((one) => [one.name, one.title]);
  byId("closest-controls").replaceChildren(classPicker(namesOf(run()), state.chosen, choose));
  byId("matrix-controls").replaceChildren(
    choice("Order", names, order().name, (name) => { state.order = name; showMatrices(); }),
    element("span", { class: "buttons" },
      element("button", { type: "button", "aria-label": "Zoom in", onclick: () => maps.zoom(1.5) }, "+"),
      element("button", { type: "button", "aria-label": "Zoom out", onclick: () => maps.zoom(1 / 1.5) }, "−"),
      element("button", { type: "button", onclick: () => maps.reset() }, "Show all")),
    element("span", { class: "faint hint" }, "Drag a square to look closer; after a click the wheel zooms, arrow keys move a cell, + − 0 zoom."));
  const measures = DATA.curves.measures.map((name) => [name, name]);
  byId("curve-controls").replaceChildren(
    measures.length > 1 ? choice("SAI measure", measures, state.measure, (name) => { state.measure = name; drawPanels(); markPanels(); }) : "",
    DATA.runs.length > 1 ? choice("Show", [["one", "this run"], ["all", "all runs"]], state.all ? "all" : "one",
      (what) => { state.all = what === "all"; drawPanels(); markPanels(); }) : "");
}

function drawPanels() {
  const made = state.all ? panelsOfAll(DATA.curves, DATA.runs.map((one) => one.name), state.measure) : panelsOfRun(DATA.curves, state.run, state.measure);
  const phases = state.all ? [] : phasesOf(state.run);
  panels = made.map((panel) => curvePanel({ ...panel, phases: phases.filter((one) => one.curve === panel.phasesOf) }, { point: setCursor, pick: setEpoch }));
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
  const at = run().epochs.indexOf(epoch);
  if (at < 0) return;
  state.epoch = epoch;
  state.cursor = null;
  slider.value = at;
  const shown = run().has_epochs ? epoch : "–";
  slider.setAttribute("aria-valuetext", `epoch ${shown}`);
  document.querySelectorAll(".epoch-now").forEach((node) => { node.textContent = shown; });
  byId("epoch-facts").textContent = factsAt(epoch);
  markPanels();
  showMatrices();
  showClosest();
}

/** Return the numbers that stand beside the slider. */
function factsAt(epoch) {
  const facts = [];
  const add = (panel, fits, tell) => {
    const one = panel?.series.find((series) => series.run === state.run && fits(series));
    const k = one ? one.epochs.indexOf(epoch) : -1;
    const told = k < 0 ? null : tell(one, k);
    if (told) facts.push(told);
  };
  add(DATA.curves.sai[state.measure], (one) => one.isMain && one.of.endsWith(",scsm"),
    (one, k) => (one.excess?.[k] == null ? null : `${one.label} excess ${shown(one.excess[k])}`));
  add(DATA.curves.others.find((panel) => panel.name === "accuracy"), (one) => one.split === "test", (one, k) => `accuracy ${shown(one.value[k])}`);
  return facts.join(" · ");
}

function showMatrices() {
  return maps.show(state.epoch, order(), theme());
}

let closestToken = 0;
let nearestPanel = null;

async function showClosest() {
  const mine = ++closestToken;
  const { parts, panel } = await closestSection(run(), namesOf(run()), state.epoch, state.chosen, choose, { point: setCursor, pick: setEpoch });
  if (mine !== closestToken) return;
  byId("closest-body").replaceChildren(...parts);
  nearestPanel = panel;
  nearestPanel?.draw();
  nearestPanel?.mark(state.epoch);
}

function choose(index) {
  const picker = byId("choice-class");
  if (byId("closest-body").contains(document.activeElement)) picker.focus({ preventScroll: true }); // what had the focus is drawn anew
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
byId("run").replaceChildren(...DATA.runs.map((one, index) => element("option", { value: index }, one.name)));
byId("run").addEventListener("change", (event) => setRun(Number(event.target.value)));
let resized = null;
addEventListener("resize", () => {
  cancelAnimationFrame(resized);
  resized = requestAnimationFrame(() => { [...panels, nearestPanel].forEach((panel) => panel?.draw()); markPanels(); maps?.draw(); });
});
if (DATA.runs.length) setRun(0);
