// The comparison page: both matrices and their difference, the agreement of each class, and curves with a common cursor.

const slider = byId("epoch");
const actions = { point: markPanels, pick: setEpoch };

const along = DATA.along === "epoch" ? "epoch" : "epochs";
const linesOf = ({ lines, isExcess }) => lines.map((line, k) => coloured(line, k, isExcess));
const panels = DATA.panels.map((panel) => curvePanel({ ...panel, along, lines: linesOf(panel) }, actions));
// A pair of runs has a line with its chance level, and a pair of groups has a band.
const networkLine = (line, k) => (line.excess ? excessLine(line, k, line.label, false) : coloured(line, k, true));
const networkLines = DATA.networks.lines.map(networkLine);
const networks = networkLines.length ? [curvePanel({ ...DATA.networks, along, lines: networkLines }, actions)] : [];
const allPanels = [...panels, ...networks];
const lines = [...DATA.panels, DATA.networks].flatMap((panel) => panel.lines);
const epochs = [...new Set(lines.flatMap((line) => line.epochs))].sort((a, b) => a - b);
// The page begins at the last epoch that all curves have, or at the last epoch of any curve if they have none in common.
let currentEpoch = epochs.findLast((epoch) => lines.every((line) => line.epochs.includes(epoch))) ?? epochs.at(-1);

function coloured(line, index, isExcess) {
  return { ...line, colour: colourOf(index), isExcess, isRange: Boolean(line.low) };
}

function markPanels(epoch) {
  allPanels.forEach((panel) => panel.mark(epoch ?? currentEpoch, epoch != null));
}

function setEpoch(epoch) {
  currentEpoch = epoch;
  slider.value = epochs.indexOf(epoch);
  slider.setAttribute("aria-valuetext", `${DATA.along} ${epoch}`);
  byId("epoch-number").textContent = epoch;
  markPanels();
}

// Ranks are bytes from 0 to 250, the share of pairs that are less similar. A difference of this share in % has the darkest colour.

const MAX_RANK_BYTE = 250;
const DARKEST_DIFFERENCE = 60;

/** Return the function that draws the two matrices of a pair of networks and their difference. */
function matricesOf(pair, container, readout) {
  const ranks = pair.ranks.map((packed) => Uint8Array.from(atob(packed), (character) => character.charCodeAt(0)));
  const percent = (which, k) => (100 * ranks[which][k]) / MAX_RANK_BYTE;
  const maps = [
    ...[pair.first, pair.second].map((title, which) => ({
      title, from: 0, ends: ["less similar half", "rank 1"], shade: (k) => rankShade(percent(which, k) / 100),
    })),
    {
      title: `${pair.first} less ${pair.second}`, from: -1, ends: [`nearer in ${pair.second}`, `nearer in ${pair.first}`],
      shade: (k) => Math.max(-1, Math.min(1, (percent(0, k) - percent(1, k)) / DARKEST_DIFFERENCE)),
    },
  ];

  return matrixFigures(container, pair.side, maps, (row, column) => {
    const block = Math.ceil(pair.names.length / pair.side);
    const names = [row, column].map((index) => pair.names[index * block]);
    const nearest = (which) => Math.max(1, Math.round(100 - percent(which, row * pair.side + column)));
    const values = [pair.first, pair.second].map((name, which) => `nearest ${nearest(which)} % in ${name}`);
    if (block > 1) readout.textContent = `Around ${names.join(" and ")}, means of ${block} × ${block} pairs: ${values.join(", ")}`;
    else if (row === column) [readout.textContent] = names;
    else readout.textContent = `${names.join(" and ")}: among the ${values.join(" and among the ")}`;
  });
}

const atPair = (selector, index) => document.querySelector(`${selector}[data-pair="${index}"]`);
DATA.pictures.forEach((pair, index) => {
  const drawMatrices = matricesOf(pair, atPair(".matrices", index), atPair(".readout", index));
  drawMatrices();
  addEventListener("themechange", drawMatrices);
});

function drawPanels() {
  allPanels.forEach((panel) => panel.draw());
  markPanels();
}

byId("panels").replaceChildren(...panels.map((panel) => panel.node));
byId("network-panels").replaceChildren(...networks.map((panel) => panel.node));
slider.max = Math.max(0, epochs.length - 1);
slider.addEventListener("input", () => setEpoch(epochs[Number(slider.value)]));
byId("curves").hidden = !panels.length;
document.querySelector(".epoch-bar").hidden = epochs.length < 2;
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
addEventListener("resize", drawPanels);
drawPanels();
if (epochs.length) setEpoch(currentEpoch);
