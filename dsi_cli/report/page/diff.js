// The page of dsi diff: the similarity matrices of two networks and their difference.

const side = DATA.names.length;
const unpack = (packed) => new Float32Array(Uint8Array.from(atob(packed), (character) => character.charCodeAt(0)).buffer);
const matrices = [unpack(DATA.first), unpack(DATA.second)];
const change = matrices[1].map((value, k) => value - matrices[0][k]);
const sizeAt = (value, k) => (k % (side + 1) === 0 ? 0 : Math.abs(value));
const largestOf = (values) => values.reduce((largest, value, k) => Math.max(largest, sizeAt(value, k)), 0);
const highest = Math.max(...matrices.map(largestOf)) || 1;
const map = (title, values, largest) => ({
  title, from: -1, shade: (k) => (largest ? values[k] / largest : 0),
  ends: [-largest, largest].map((end) => end.toPrecision(2).replace("-", "−")),
});
const maps = [
  ...matrices.map((values, k) => map(`${"AB"[k]}: ${DATA.titles[k]}`, values, highest)),
  map("B minus A", change, largestOf(change)),
];
const drawMaps = matrixFigures(byId("maps"), side, maps, (row, column) => {
  const k = row * side + column;
  const [first, second, difference] = [matrices[0][k], matrices[1][k], change[k]].map((value) => formatNumber(value, 3));
  byId("readout").textContent = row === column ? DATA.names[row]
    : `${DATA.names[row]} and ${DATA.names[column]}: ${first} in A, ${second} in B, change ${difference}`;
});

addEventListener("themechange", drawMaps);
drawMaps();
