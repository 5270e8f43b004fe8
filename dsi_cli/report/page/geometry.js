// The geometry of the class vectors: the charts of neural collapse (NC2), the spectrum, and a table of norms, biases and drift.

/** Return the question whether the class vectors become a simplex, with its charts; `chart` is that of the other questions. */
function geometryQuestion(view, chart) {
  const data = DATA.runs[view.runs[0]].geometry;
  const fits = !data || data.features >= data.count - 1;
  return {
    title: "Do the class vectors become a simplex (neural collapse)?",
    text: `In a simplex, all class vectors have the same length and every two of them the same angle. Both deviations are then 0, and the effective rank is the number of classes minus 1. A random head of many features is not far from a simplex, so compare a curve with its grey chance level.${fits ? "" : ` This head has ${data.features} features, too few for a simplex of ${data.count.toLocaleString("en")} classes.`}`,
    charts: [
      chart("Angles: mean deviation of the cosines from those of a simplex", "0 is a simplex", "simplex", (series) => series.label === "unequal angles"),
      chart("Norms: standard deviation over mean", "0 is a simplex", "simplex", (series) => series.label === "unequal norms"),
      chart("Effective rank of the centred head", "number of directions", "effective_rank", () => true),
    ],
  };
}

/** Return the table of the class vectors of a run, the longest first, and the chart of the spectrum. */
function geometrySection(run, names) {
  const { epochs, count, classes } = run.geometry;
  const [first, last] = [epochs[0], epochs[epochs.length - 1]];
  const rows = classes.map(([index, norms, bias, previous, drift]) => ({ name: names[index], norms, norm: norms[norms.length - 1], start: norms.find((norm) => norm != null), bias, previous, drift }));
  const largest = Math.max(...rows.flatMap(({ norms }) => norms));
  const left = count > rows.length ? ` Of ${count.toLocaleString("en")} classes, the table has those with the longest and the shortest vectors.` : "";
  const column = (title, name, digits) => ({ title, number: true, digits, value: (row) => row[name], text: (row) => formatNumber(row[name], digits) });
  const shown = [
    { title: "class", value: (row) => row.name },
    column("norm", "norm", 3),
    ...(epochs.length > 1 ? [
      column("first norm", "start", 3),
      { title: "norm over the epochs", value: (row) => row.norm - row.start, text: () => "", node: (row) => sparkline(row.norms, largest) },
      column("angle to the checkpoint before (degrees)", "previous", 2),
      column(`angle since epoch ${first} (degrees)`, "drift", 1),
    ] : []),
    ...(rows.some(({ bias }) => bias != null) ? [column("bias", "bias", 3)] : []),
  ];
  const chance = 180 / Math.PI / Math.sqrt(run.geometry.features);
  return [
    element("p", { class: "faint" }, `The table describes the class vectors, which are the rows of the classifier, at epoch ${last}. In networks trained on unbalanced data, rare classes often have short vectors (Kang et al. 2020, arXiv 1910.09217). Unrelated directions have an angle of 90 ± ${chance.toFixed(1)} degrees (standard deviation).${left}`),
    dataTable("Class vectors", shown, rows, { filter: "Filter class vectors", first: 12 }),
    ...(run.geometry.spectrum ? [spectrumChart(run.geometry.spectrum)] : []),
  ];
}

/** Return the chart of the cumulative shares of the singular values at the first and the last epoch. */
function spectrumChart({ numbers, epochs, chance, first, last }) {
  const lines = [[epochs[0], first], [epochs[1], last]].slice(epochs[0] === epochs[1] ? 1 : 0)
    .map(([epoch, value], k) => rawLine({ epochs: numbers, value, chance }, k, `epoch ${epoch}`));
  const chart = { title: "Spectrum of the centred head", axis: "share of the squared singular values", lines, along: "number of singular values, the largest first", item: "singular value" };
  const panel = curvePanel(chart, { point: (number) => panel.mark(number ?? numbers[0]) });
  new ResizeObserver(() => { panel.draw(); panel.mark(numbers[0]); }).observe(panel.node);
  return element("div", { class: "panels" }, panel.node);
}

/** Return a small chart of values from 0 to `largest`, with its first and last value as text for screen readers. */
function sparkline(values, largest) {
  const [width, height] = [96, 18];
  const known = values.map((value, k) => [k, value]).filter(([, value]) => value != null);
  const points = known.map(([k, value]) => `${(1 + (width - 2) * k / Math.max(1, values.length - 1)).toFixed(1)},${(height - 1 - (height - 2) * value / (largest || 1)).toFixed(1)}`);
  const label = `from ${formatNumber(known[0]?.[1], 3)} to ${formatNumber(values[values.length - 1], 3)}`;
  return svgElement("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    svgElement("polyline", { points: points.join(" "), fill: "none", stroke: "currentColor", "stroke-width": 1.2 }));
}
