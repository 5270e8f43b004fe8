// The first screen, and the charts of the curves table by the four questions of the paper, with the rest under "More curves".

const MAX_PHASE_ROWS = 3;
const PHASES = "The bar above a chart shows the phases of a curve. The surge lasts until 90 % of the way to the plateau. A "
  + "refinement is a decline beyond noise after it, and the rest is stabilisation. The box at a boundary is its 95 % confidence "
  + "interval. One training cannot show whether its decline is one of the reliability over seeds.";

/** Return the quantity that the charts of two matrices show: {name, title, axis, measure, isExcess}. */
const quantityOf = (name) => DATA.curves.quantities.find((quantity) => quantity.name === name);

/** Return whether a curve of two matrices has values of a quantity; a measure without a chance level has no excess. */
const hasValues = (series, { isExcess }) => !isExcess || Boolean(series.excess);

/** Return the curves of a panel of the table for some runs, those of two matrices by the chosen measure. */
function curvesOf(view, panelName, matches = () => true) {
  const quantity = panelName === "sai" ? view.quantity : null;
  if (panelName === "sai" && !quantity) return [];
  const panel = quantity ? DATA.curves.sai[quantity.measure] : DATA.curves.others.find(({ name }) => name === panelName);
  if (!panel) return [];
  const isShown = (series) => view.runs.includes(series.run) && matches(series) && (!quantity || hasValues(series, quantity));
  return panel.series.filter(isShown).map((series) => ({ series, panel }));
}

/** Return a chart of curves: one colour per run if there are several, otherwise one per curve. */
function chartOf(view, title, axis, curves, options = {}) {
  const labels = [...new Set(curves.map(({ series }) => series.label))];
  const isShared = view.runs.length > 1;
  const lines = curves.map(({ series, panel }, k) => {
    const name = DATA.runs[series.run].name;
    const colour = isShared ? series.run : k;
    let label = isShared ? `${name}, ${series.label}` : series.label;
    if (labels.length === 1) label = name;
    // The interval of a SAI belongs to its excess, so a raw SAI has none.
    let line = { ...rawLine(series, colour, label), isShare: panel.name.startsWith("idm") };
    if (panel.name === "sai") line = { ...line, low: null, high: null };
    if (panel.name === "sai" && view.quantity.isExcess) line = excessLine(series, colour, label, panel.lower);
    const smooth = view.smoothing ? movingMean(line.value, view.smoothing) : undefined;
    return { ...line, smooth, isFaint: isShared && labels.indexOf(series.label) > 0, x: positions(view, series) };
  });
  const hasCurve = lines.some((line) => line.epochs.length > 1);
  let phases = [];
  if (options.phasesOf && view.axis === "epoch" && view.runs.length <= MAX_PHASE_ROWS) {
    phases = view.runs.map((index) => ({
      label: DATA.runs[index].name, colour: isShared ? colourOf(index) : "c0",
      phases: DATA.curves.phases.filter((row) => row.place === index && options.phasesOf(row))
        .map(({ phase: name, first_epoch: first, last_epoch: last, low, high, reason }) => (
          { name, first, last, low, high, reason }
        )),
    }));
  }
  const isLog = view.axis === "log";
  const along = isLog ? "epoch" : view.axis;
  return { title, axis, lines, along, isLog, phases, isLarge: options.isLarge && hasCurve };
}

/** Return the means of values in symmetric windows, which are shorter at the ends; a value without a number stays without one. */
function movingMean(values, window) {
  return values.map((value, k) => {
    const half = Math.min((window - 1) / 2, k, values.length - 1 - k);
    const known = values.slice(k - half, k + half + 1).filter((one) => one != null);
    return value == null ? null : known.reduce((sum, one) => sum + one, 0) / known.length;
  });
}

/** Return the positions of a curve on the horizontal axis, or undefined for the epochs themselves. */
function positions(view, series) {
  if (view.axis === "epoch" || view.axis === "log") return undefined;
  const run = DATA.runs[series.run];
  const values = view.axis === "step" ? run.steps : accuracies[series.run];
  return series.epochs.map((epoch) => values?.get(epoch) ?? null);
}

/** The test accuracy of each run by epoch; empty without one. */
const accuracies = DATA.runs.map((_, run) => {
  const panel = DATA.curves.others.find(({ name }) => name === "accuracy");
  const series = panel?.series.find((curve) => curve.run === run && curve.label.startsWith("accuracy"));
  return new Map(series?.epochs.map((epoch, k) => [epoch, series.value[k]]));
});

/** Return the horizontal axes that the runs have, as [value, title]. */
function axesOf(runs) {
  return [["epoch", "epoch"], ["log", "epoch, logarithmic"],
    ...(runs.every((index) => DATA.runs[index].steps?.size > 1) ? [["step", "step"]] : []),
    ...(runs.every((index) => accuracies[index].size > 1) ? [["accuracy", "accuracy"]] : [])];
}

/** Return true for the agreement of the network's own matrix with the main reference. */
const isMainAgreement = (series) => series.isMain && series.of === `${DATA.runs[series.run].own},scsm`;

/** Return the chart of all shown runs with the reference by the chosen measure. Phases belong to the first measure. */
function referenceChart(view) {
  const { quantity } = view;
  const title = `${quantity?.title} of the network with ${DATA.runs[view.runs[0]].reference}`;
  const options = { isLarge: true, phasesOf: (phase) => phase.of_agreement && quantity === DATA.curves.quantities[0] };
  return chartOf(view, title, quantity?.axis, curvesOf(view, "sai", isMainAgreement), options);
}

/** Return the four questions with their charts, and the charts of all remaining curves. */
function questions(view) {
  const used = new Set();
  const take = (curves) => { curves.forEach(({ series }) => used.add(series)); return curves; };
  const { reference, own } = DATA.runs[view.runs[0]];
  const name = own.toUpperCase();
  const [agrees, neighbours, follows, reasonable] = DATA.questions.map((text) => text.replace("{reference}", reference));
  const ownOf = (series) => DATA.runs[series.run].own;
  const mistakesOf = (series) => `ccsm-${DATA.runs[series.run].splits[0] ?? "test"}`;
  const sai = (matrices, matches) => chartOf(view, `${view.quantity?.title} of ${matrices}`, view.quantity?.axis,
    take(curvesOf(view, "sai", matches)));
  const chart = (name, options = {}) => {
    const { title, axis, panel } = DATA.curves.texts[name];
    const curves = take(curvesOf(view, panel, ({ quantity, isMain }) => quantity === name && isMain));
    return chartOf(view, options.title ?? title, axis, curves, options);
  };
  take(curvesOf(view, "sai", isMainAgreement));
  const result = [
    {
      title: agrees,
      text: `The chart compares the similarities of all pairs of classes in the network (${name}) with those in ${reference}.`,
      charts: [referenceChart(view)],
    },
    {
      title: neighbours,
      text: "Max WSI is the mean cosine similarity of a class with its nearest classes, and Min WSI that with its most distant "
        + "classes. Mean WSI covers all pairs. They have no chance level.",
      charts: [
        chart("max_wsi", { title: "Nearest classes (Max WSI)", isLarge: true, phasesOf: ({ curve }) => curve === "wsi max" }),
        chart("mean_wsi", { title: "All pairs (Mean WSI)" }),
        chart("min_wsi", { title: "Most distant classes (Min WSI)" }),
      ],
    },
    {
      title: follows,
      text: "NIDM of mistakes is the share of classes that the network finds less similar to the true class than the wrong "
        + "prediction. If a mistake falls on a random wrong class, half of the classes are.",
      charts: [
        chart("nidm", { isLarge: true }),
        sai("the network with its mistakes", (series) => series.of === `${ownOf(series)},${mistakesOf(series)}`),
      ],
    },
    {
      title: reasonable,
      text: `WIDM of mistakes is the share of classes that are less similar to the true class in ${reference} than the wrong `
        + "prediction.",
      charts: [
        chart("widm", { isLarge: true, phasesOf: ({ curve }) => curve.startsWith("widm test") }),
        sai(`the mistakes with ${reference}`, (series) => series.isMain && series.of === `${mistakesOf(series)},scsm`),
        chart("severity"),
      ],
    },
    geometryQuestion(view, chart),
  ];
  const shown = result.map((question) => ({ ...question, charts: question.charts.filter((one) => one.lines.length) }));
  return { questions: shown, more: remainingCharts(view, used) };
}

/** Return a chart for each panel of curves that no question uses. With several runs, each kind of curve has its own chart. */
function remainingCharts(view, used) {
  const order = ["accuracy", "loss", "sai"];
  const names = [...order, ...DATA.curves.others.map(({ name }) => name).filter((name) => !order.includes(name))];
  return names.flatMap((name) => {
    const curves = curvesOf(view, name, (series) => !used.has(series));
    if (!curves.length) return [];
    const { panel } = curves[0];
    const isSai = name === "sai";
    const axis = isSai ? view.quantity.axis : panel.axis;
    const labels = [...new Set(curves.map(({ series }) => series.label))];
    const title = isSai ? `${view.quantity.title} of other matrices` : panel.title;
    if (view.runs.length === 1 || labels.length === 1) return [chartOf(view, title, axis, curves)];
    const labelled = (label) => curves.filter(({ series }) => series.label === label);
    return labels.map((label) => chartOf(view, `${title}: ${label}`, axis, labelled(label)));
  });
}

/** Return the sections of the four questions, the remaining charts in a disclosure, and all charts. */
function questionSections(view, actions) {
  const panels = [];
  const draw = (chart) => { const panel = curvePanel(chart, actions); panels.push(panel); return panel.node; };
  const { questions: all, more } = questions(view);
  const hasPhases = all.some(({ charts }) => charts.some((chart) => chart.phases.some((row) => row.phases.length)));
  const nodes = all.filter(({ charts }) => charts.length).map(({ title, text, charts }) => element("div", { class: "question" },
    element("h3", {}, title), faint(text, "p"), element("div", { class: "panels" }, charts.map(draw))));
  if (hasPhases) nodes.unshift(element("p", { class: "faint phase-note" }, PHASES));
  if (more.length) {
    nodes.push(element("details", { class: "more-curves", ontoggle: () => panels.forEach((panel) => panel.draw()) },
      element("summary", {}, `More curves (${more.length}): accuracy, loss and diagnostics`),
      element("div", { class: "panels" }, more.map(draw))));
  }
  return { nodes, panels };
}

/** Return the two charts of the first screen. */
function overviewCharts(view, actions) {
  const overEpochs = referenceChart({ ...view, axis: "epoch" });
  if (!overEpochs.lines.length) return [];
  const isSingle = overEpochs.lines.every((line) => line.epochs.length < 2);
  const charts = isSingle ? [] : [{ ...overEpochs, title: `${overEpochs.title} over epochs`, phases: [] }];
  const hasAccuracy = view.runs.every((index) => accuracies[index].size > 1);
  const title = `${view.quantity.title} against accuracy`;
  if (hasAccuracy) charts.push({ ...referenceChart({ ...view, axis: "accuracy" }), title, phases: [] });
  return charts.map((chart) => curvePanel(chart, actions));
}

/** Return a run's value of the chosen quantity in a tile, at an epoch or at its last epoch before. */
function tilePoint(view, run, epoch) {
  const [curve] = curvesOf({ ...view, runs: [run] }, "sai", isMainAgreement);
  const k = curve?.series.epochs.findLastIndex((at) => at <= epoch) ?? -1;
  if (k < 0) return null;
  const { series } = curve;
  const { isExcess } = view.quantity;
  const [low, high, z] = [series.low, series.high, series.z].map((values) => values?.[k] ?? null);
  const value = formatNumber((isExcess ? series.excess : series.value)[k], 2);
  const hasInterval = isExcess && low != null && high != null;
  let verdict = z > -DATA.min_z ? "within chance" : "below chance";
  if (z >= DATA.min_z && !(hasInterval && low <= 0)) verdict = "above chance";
  const details = hasInterval ? `95 % CI ${formatNumber(low, 2)} to ${formatNumber(high, 2)}` : "";
  return { epoch: series.epochs[k], value, verdict: z == null ? "" : verdict, details };
}

/** Return the small matrices of a run: the network at the first and the chosen epoch, its mistakes, and the reference. */
async function smallMatrices(run, epoch, order) {
  const [own, mistakes, reference] = [run.own, `ccsm-${run.splits[0] ?? "test"}`, "scsm"].map((name) => matrixOf(run, name));
  const at = run.has_epochs ? (value) => `, epoch ${value}` : () => "";
  const parts = [
    own && run.epochs.length > 1 && epoch !== run.epochs[0] ? [own, run.epochs[0], `network${at(run.epochs[0])}`] : null,
    own ? [own, epoch, `network${at(epoch)}`] : null,
    mistakes ? [mistakes, epoch, `its mistakes${at(epoch)}`] : null,
    reference ? [reference, epoch, run.reference] : null,
  ].filter(Boolean);
  const pictures = await Promise.all(parts.map(([matrix, shown]) => thumbnail(matrix, shown, order)));
  return pictures.map((canvas, k) => {
    if (!canvas) return null;
    describeMatrix(canvas, `Similarities of all pairs of classes: ${parts[k][2]}`);
    const link = element("a", { href: "#matrices" }, canvas);
    return element("figure", { class: "small-matrix" }, link, element("figcaption", {}, parts[k][2]));
  }).filter(Boolean);
}
