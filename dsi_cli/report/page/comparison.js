// The comparison page: panels with one line per run, or one band per group, and a common cursor.

const DATA = JSON.parse(byId("data").textContent);
const slider = byId("epoch");
const actions = { point: markPanels, pick: setEpoch };

const along = DATA.along === "epoch" ? "epoch" : "epochs";
const panels = DATA.panels.map((panel) => curvePanel({ ...panel, along, lines: panel.lines.map((line, k) => coloured(line, k, panel.isExcess)) }, actions));
const networks = networkPanels().map((panel) => curvePanel({ ...panel, along }, actions));
const allPanels = [...panels, ...networks];
const lines = [...DATA.panels.flatMap((panel) => panel.lines), ...DATA.networks, ...DATA.between];
const epochs = [...new Set(lines.flatMap((line) => line.epochs))].sort((a, b) => a - b);
let currentEpoch = lastCommonEpoch();

function coloured(line, index, isExcess) {
  return { ...line, colour: `c${index % COLOURS}`, isExcess, isRange: Boolean(line.low) };
}

/** Return the panels between networks: one with the excess of all pairs, and one per pair with the raw SAI and its chance level. */
function networkPanels() {
  const title = "Above chance";
  const axis = `SAI excess (${DATA.measure}): 0 is chance, 1 is identical`;
  if (DATA.networks.length) return [{ title, axis, lines: DATA.networks.map((band, k) => coloured(band, k, true)) }];
  if (!DATA.between.length) return [];
  const raw = `SAI (${DATA.measure})${DATA.lower ? ", lower is more similar" : ""}`;
  return [
    { title, axis, lines: DATA.between.map((pair, k) => excessLine(pair, k, pair.label, DATA.lower)) },
    ...DATA.between.map((pair, k) => ({ title: `SAI of ${pair.label}`, axis: raw, lines: [rawLine(pair, k, "SAI")] })),
  ];
}

/** Return the last epoch that all curves have, or the last epoch of any curve if they have none in common. */
function lastCommonEpoch() {
  const common = epochs.filter((epoch) => lines.every((line) => line.epochs.includes(epoch)));
  return (common.length ? common : epochs).at(-1);
}

function markPanels(epoch) {
  allPanels.forEach((panel) => panel.mark(epoch ?? currentEpoch));
}

function setEpoch(epoch) {
  currentEpoch = epoch;
  slider.value = epochs.indexOf(epoch);
  slider.setAttribute("aria-valuetext", `${DATA.along} ${epoch}`);
  byId("epoch-number").textContent = epoch;
  markPanels(epoch);
}

function drawAll() {
  allPanels.forEach((panel) => panel.draw());
  markPanels(currentEpoch);
}

byId("panels").replaceChildren(...panels.map((panel) => panel.node));
byId("network-panels").replaceChildren(...networks.map((panel) => panel.node));
slider.max = Math.max(0, epochs.length - 1);
slider.addEventListener("input", () => setEpoch(epochs[Number(slider.value)]));
byId("curves").hidden = !panels.length;
document.querySelector(".epoch-bar").hidden = epochs.length < 2;
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
let resizeFrame = null;
addEventListener("resize", () => {
  cancelAnimationFrame(resizeFrame);
  resizeFrame = requestAnimationFrame(drawAll);
});
drawAll();
if (epochs.length) setEpoch(currentEpoch);
