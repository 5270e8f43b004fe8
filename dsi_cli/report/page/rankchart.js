// The rank chart (bump chart) of a class: the ranks of its nearest classes over epochs.

const RANK_CHART = { width: 380, row: 20, left: 26, right: 120, top: 14, bottom: 24 };
const MAX_RANK_LINES = 7;

/** Return the rank chart of a class as a figure, or null if the page has its neighbours at fewer than two epochs. */
async function rankChart(run, names, index, epoch, actions) {
  const { epochs = [], count = 0 } = run.near || {};
  if (epochs.length < 2) return null;
  const neighbours = await Promise.all(epochs.map(async (at) => (await nearestAt(run, at)).neighbours(index).map(({ other }) => other)));
  const now = neighbours[Math.max(0, epochs.indexOf(epoch))];
  const shown = now.slice(0, MAX_RANK_LINES);
  const rows = count + (count < names.length - 1 ? 1 : 0);
  const { width, row, left, right, top, bottom } = RANK_CHART;
  const height = top + rows * row + bottom;
  const [first, last] = [epochs[0], epochs.at(-1)];
  const x = (at) => left + ((at - first) / (last - first)) * (width - left - right);
  const y = (rank) => top + (rank - 0.5) * row;
  const rankAt = (k, other) => { const place = neighbours[k].indexOf(other); return place < 0 ? count + 1 : place + 1; };
  const line = (other, attributes) => svgElement("path", { class: "curve", d: epochs.map((at, k) => `${k ? "L" : "M"}${x(at).toFixed(1)} ${y(Math.min(rows, rankAt(k, other))).toFixed(1)}`).join(""), ...attributes },
    svgElement("title", {}, names[other]));
  const others = [...new Set(neighbours.flat())].filter((other) => !shown.includes(other));
  const plot = svgElement("svg", { class: "rank-chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Ranks of the nearest classes to ${names[index]} over epochs. At epoch ${epoch}: ${now.map((other, k) => `${k + 1} ${names[other]}`).join(", ")}.` },
    ...Array.from({ length: rows }, (_, k) => svgElement("text", { class: "tick", x: left - 8, y: y(k + 1) + 4, "text-anchor": "end" }, k < count ? k + 1 : `>${count}`)),
    ...ticks(first, last, 4).filter(Number.isInteger).map((at) => svgElement("text", { class: "tick", x: x(at), y: height - 6, "text-anchor": "middle" }, at)),
    svgElement("text", { class: "tick", x: x(last) + 14, y: height - 6 }, "epoch"),
    svgElement("line", { class: "cursor-line", x1: x(epoch), x2: x(epoch), y1: top, y2: height - bottom }),
    ...others.map((other) => line(other, { class: "curve others" })),
    ...shown.flatMap((other, k) => line(other, { class: `curve c${k % COLOURS}` })),
    ...rankLabels(neighbours, shown, names, rankAt, x(last), y, rows));
  plot.addEventListener("click", (event) => {
    const box = plot.getBoundingClientRect();
    const at = first + ((((event.clientX - box.left) / box.width) * width - left) / (width - left - right)) * (last - first);
    actions.chart.pick(epochs.reduce((best, candidate) => (Math.abs(candidate - at) < Math.abs(best - at) ? candidate : best)));
  });
  return element("figure", { class: "panel" },
    element("figcaption", {}, element("h3", {}, `Neighbours of ${names[index]} over epochs`), element("span", { class: "faint" }, `rank by ${run.near.of.toUpperCase()}: 1 is the nearest class`)), plot,
    exportMenu(`${run.name} neighbours of ${names[index]}`, { svg: () => plot, csv: () => rankRows(names, epochs, neighbours) }));
}

/** Return the names at the ends of the lines. Classes that share the last row are listed below each other only while there is room. */
function rankLabels(neighbours, shown, names, rankAt, x, y, rows) {
  const labels = shown.map((other, k) => ({ other, k, rank: Math.min(rows, rankAt(neighbours.length - 1, other)) })).sort((a, b) => a.rank - b.rank);
  let lowest = -Infinity;
  return labels.map(({ other, k, rank }) => {
    const at = Math.max(y(rank) + 4, lowest + 13);
    lowest = at;
    const name = names[other].length > 18 ? `${names[other].slice(0, 17)}…` : names[other];
    return svgElement("text", { class: `rank-name c${k % COLOURS}`, x: x + 6, y: at }, name, svgElement("title", {}, names[other]));
  });
}

/** Return the rows of a rank chart: one row per epoch, and one column per class. */
function rankRows(names, epochs, neighbours) {
  const others = [...new Set(neighbours.flat())];
  return [["epoch", ...others.map((other) => names[other])],
    ...epochs.map((epoch, k) => [epoch, ...others.map((other) => { const place = neighbours[k].indexOf(other); return place < 0 ? null : place + 1; })])];
}
