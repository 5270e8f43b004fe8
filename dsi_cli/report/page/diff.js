// The page of dsi diff: the similarity matrices of two networks and their difference.

const DATA = JSON.parse(byId("data").textContent);
const side = DATA.names.length;
const unpack = (packed) => new Float32Array(Uint8Array.from(atob(packed), (character) => character.charCodeAt(0)).buffer);
const matrices = [unpack(DATA.first), unpack(DATA.second)];
const change = matrices[1].map((value, k) => value - matrices[0][k]);
const isPair = (k) => k % (side + 1) !== 0;
const largestOf = (values) => values.reduce((largest, value, k) => (isPair(k) ? Math.max(largest, Math.abs(value)) : largest), 0);
const highest = Math.max(...matrices.map(largestOf)) || 1;
const steepest = largestOf(change);
const maps = [
  { title: `A: ${DATA.titles[0]}`, values: matrices[0], largest: highest },
  { title: `B: ${DATA.titles[1]}`, values: matrices[1], largest: highest },
  { title: "B minus A", values: change, largest: steepest },
];

function read(event) {
  const box = event.currentTarget.getBoundingClientRect();
  const place = (offset, length) => Math.min(side - 1, Math.max(0, Math.floor((offset / length) * side)));
  const [row, column] = [place(event.clientY - box.top, box.height), place(event.clientX - box.left, box.width)];
  const k = row * side + column;
  const names = row === column ? DATA.names[row] : `${DATA.names[row]} and ${DATA.names[column]}`;
  byId("readout").textContent = row === column ? names
    : `${names}: ${formatNumber(matrices[0][k], 3)} in A, ${formatNumber(matrices[1][k], 3)} in B, change ${formatNumber(change[k], 3)}`;
}

function drawMaps() {
  const { of, diagonal } = pixelsOf(theme());
  byId("maps").replaceChildren(...maps.map(({ title, values, largest }) => {
    const canvas = pixelCanvas(side, side, (pixels) => pixels.forEach((_, k) => {
      pixels[k] = isPair(k) ? of(largest ? values[k] / largest : 0) : diagonal;
    }));
    canvas.className = "thumbnail";
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Heat map of all pairs of classes: ${title}`);
    canvas.addEventListener("pointermove", read);
    const bar = colourBar(theme(), -1);
    bar.className = "bar";
    return element("figure", { class: "heat" }, element("figcaption", {}, element("h3", {}, title)), canvas, bar,
      element("div", { class: "ends" }, [-largest, largest].map((end) => element("span", {}, end.toPrecision(2).replace("-", "−")))));
  }));
}

whenThemeChanges(drawMaps);
document.documentElement.dataset.print = "all";
drawMaps();
