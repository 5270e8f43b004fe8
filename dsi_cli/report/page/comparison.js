// The page of a comparison: all curves together, a line a run or a band a group, and a cursor that all share.

const DATA = JSON.parse(byId("data").textContent);
const slider = byId("epoch");
const actions = { point: mark, pick: stay };

const along = DATA.along === "epoch" ? "epoch" : "epochs";
const panels = DATA.panels.map((panel) => curvePanel({ ...panel, along, lines: panel.lines.map((one, k) => coloured(one, k, panel.isExcess)) }, actions));
const networks = networkPanels().map((panel) => curvePanel({ ...panel, along }, actions));
const every = [...panels, ...networks];
const lines = [...DATA.panels.flatMap((panel) => panel.lines), ...DATA.networks, ...DATA.between];
const epochs = [...new Set(lines.flatMap((one) => one.epochs))].sort((a, b) => a - b);
let at = lastOfAll();

function coloured(one, place, isExcess) {
  return { ...one, colour: `c${place % COLOURS}`, isExcess, isRange: Boolean(one.low) };
}

/** Return the panels between networks: the excess of all pairs together, and each raw SAI beside its own chance level. */
function networkPanels() {
  const title = "Above chance";
  const axis = `SAI excess, ${DATA.measure}: 0 is chance`;
  if (DATA.networks.length) return [{ title, axis, lines: DATA.networks.map((one, k) => coloured(one, k, true)) }];
  if (!DATA.between.length) return [];
  const raw = `SAI (${DATA.measure})${DATA.lower ? ", lower is closer" : ""}`;
  return [
    { title, axis, lines: DATA.between.map((one, k) => excessLine(one, k, one.label, DATA.lower)) },
    ...DATA.between.map((one, k) => ({ title: `SAI of ${one.label}`, axis: raw, lines: [line(one, k, "SAI")] })),
  ];
}

/** Return the last epoch that every curve has, the very last where they have none in common. */
function lastOfAll() {
  const common = epochs.filter((epoch) => lines.every((one) => one.epochs.includes(epoch)));
  return (common.length ? common : epochs).at(-1);
}

function mark(epoch) {
  every.forEach((panel) => panel.mark(epoch ?? at));
}

function stay(epoch) {
  at = epoch;
  slider.value = epochs.indexOf(epoch);
  slider.setAttribute("aria-valuetext", `${DATA.along} ${epoch}`);
  byId("epoch-number").textContent = epoch;
  mark(epoch);
}

function drawAll() {
  every.forEach((panel) => panel.draw());
  mark(at);
}

byId("panels").replaceChildren(...panels.map((panel) => panel.node));
byId("network-panels").replaceChildren(...networks.map((panel) => panel.node));
slider.max = Math.max(0, epochs.length - 1);
slider.addEventListener("input", () => stay(epochs[Number(slider.value)]));
byId("curves").hidden = !panels.length;
document.querySelector(".epoch-bar").hidden = epochs.length < 2;
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
let resized = null;
addEventListener("resize", () => {
  cancelAnimationFrame(resized);
  resized = requestAnimationFrame(drawAll);
});
drawAll();
if (epochs.length) stay(at);
