// The charts: two of the agreement on the first screen, and those of the curves table by the questions of the paper, with the rest
// under "More curves". A line has the colour of its run, and a curve on the training data is dashed.

const MAX_PHASE_ROWS = 3;
const SHARES = new Set(["idm", "idm_errors", "accuracy", "levels"]); // the panels whose values are shares of classes or of samples
const PHASES = "The bar above a chart shows the phases of a curve and the epochs at which they end, with 95 % confidence "
  + "intervals. The surge lasts until 90 % of the way to the plateau. A refinement is a decline beyond noise after it, the rest "
  + "is stabilisation. One training cannot show whether its decline is one of the reliability over seeds.";

/** Return the measure of two matrices with a name: {name, title, axis, measure, isExcess}. */
const quantityOf = (name) => DATA.curves.quantities.find((quantity) => quantity.name === name);

/** Return the curves of a panel of the table, those of two matrices by the chosen measure, as [{series, panel}]. */
function curvesOf(quantity, panelName, matches = () => true) {
  const isSai = panelName === "sai";
  if (isSai && !quantity) return [];
  const panel = isSai ? DATA.curves.sai[quantity.measure] : DATA.curves.others.find(({ name }) => name === panelName);
  // A measure without a chance level has no excess.
  const hasValues = (series) => !isSai || !quantity.isExcess || series.excess;
  return (panel?.series ?? []).filter((series) => hasValues(series) && matches(series)).map((series) => ({ series, panel }));
}

/** Return a chart of curves of one kind, which is drawn on an axis of epochs or of accuracy. */
function chartOf(quantity, title, axis, curves, options = {}) {
  const hasSplits = new Set(curves.map(({ series }) => series.split)).size > 1;
  const lines = curves.map(({ series, panel }) => {
    const label = hasSplits ? `${DATA.runs[series.run].name}, ${series.split}` : DATA.runs[series.run].name;
    // The interval of a SAI belongs to its excess, so a raw SAI has none.
    let line = { ...rawLine(series, series.run, label), isShare: SHARES.has(panel.name) };
    if (panel.name === "sai") line = { ...line, low: null, high: null };
    if (panel.name === "sai" && quantity.isExcess) line = excessLine(series, series.run, label, panel.lower);
    if (options.along === "accuracy") line.x = series.epochs.map((epoch) => accuracies[series.run].get(epoch) ?? null);
    return { ...line, isFaint: hasSplits && series.split === "train" };
  });
  let phases = [];
  if (options.phasesOf && DATA.runs.length <= MAX_PHASE_ROWS) {
    phases = DATA.runs.map(({ name: label }, index) => ({
      label, colour: colourOf(index),
      phases: DATA.curves.phases.filter((row) => row.place === index && options.phasesOf(row))
        .map(({ phase: name, first_epoch: first, last_epoch: last, ...ends }) => ({ name, first, last, ...ends })),
    }));
  }
  return { ...options, title, axis, lines, phases, isLarge: options.isLarge && lines.some((line) => line.epochs.length > 1) };
}

/** The test accuracy of each run by epoch; empty without one. */
const accuracies = DATA.runs.map((_, run) => {
  const panel = DATA.curves.others.find(({ name }) => name === "accuracy");
  const series = panel?.series.find((curve) => curve.run === run && curve.label.startsWith("accuracy"));
  return new Map(series?.epochs.map((epoch, k) => [epoch, series.value[k]]));
});

/** Return true for the agreement of the network's own matrix with the main reference. */
const isMainAgreement = (series) => series.isMain && series.of === `${DATA.runs[series.run].own},scsm`;

/** Return the two charts of the first screen: the network with the reference over epochs and against accuracy. */
function overviewCharts(quantity, control) {
  const curves = curvesOf(quantity, "sai", isMainAgreement);
  if (!curves.length) return [];
  const isFirst = quantity === DATA.curves.quantities[0];
  const options = { isLarge: true, note: isFirst ? DATA.note : null };
  const title = `${quantity.title} with ${DATA.runs[0].reference}`;
  const phasesOf = isFirst ? (phase) => phase.of_agreement : null;
  const charts = [];
  if (curves.some(({ series }) => series.epochs.length > 1)) {
    charts.push(chartOf(quantity, title, quantity.axis, curves, { ...options, control, phasesOf }));
  }
  if (DATA.runs.every((_, index) => accuracies[index].size > 1)) {
    charts.push(chartOf(quantity, `${quantity.title} against accuracy`, quantity.axis, curves, { ...options, along: "accuracy" }));
  }
  return charts;
}

/** Return the questions 2 to 4 of the paper with their charts, and the charts of all remaining curves. */
function questions(quantity) {
  const used = new Set(curvesOf(quantity, "sai", isMainAgreement).map(({ series }) => series));
  const take = (curves) => { curves.forEach(({ series }) => used.add(series)); return curves; };
  const { reference } = DATA.runs[0];
  const [, neighbours, follows, reasonable] = DATA.questions;
  const ownOf = (series) => DATA.runs[series.run].own;
  const mistakesOf = (series) => `ccsm-${DATA.runs[series.run].splits[0] ?? "test"}`;
  const sai = (matrices, matches) =>
    chartOf(quantity, `${quantity?.title} of ${matrices}`, quantity?.axis, take(curvesOf(quantity, "sai", matches)));
  const chart = (name, options = {}) => {
    const { title, axis, panel } = DATA.curves.texts[name];
    const curves = take(curvesOf(quantity, panel, (series) => series.quantity === name && series.isMain));
    return chartOf(quantity, options.title ?? title, axis, curves, options);
  };
  const result = [
    {
      title: neighbours,
      text: "The charts show the mean cosine similarity of a class with its nearest classes, with all classes and with its most "
        + "distant ones. They have no chance level.",
      charts: [
        chart("max_wsi", { title: "Nearest classes (Max WSI)", isLarge: true, phasesOf: ({ curve }) => curve === "wsi max" }),
        chart("mean_wsi", { title: "All pairs (Mean WSI)" }),
        chart("min_wsi", { title: "Most distant classes (Min WSI)" }),
      ],
    },
    {
      title: follows,
      text: "The large chart shows how many classes lie farther from the true class than a wrong prediction, by the network's own "
        + "similarity. Random mistakes would give about 50 %.",
      charts: [
        chart("nidm", { title: "Mistakes by the network's similarity (NIDM)", isLarge: true }),
        sai("the network with its mistakes", (series) => series.of === `${ownOf(series)},${mistakesOf(series)}`),
      ],
    },
    {
      title: reasonable,
      text: `The large chart shows how many classes lie farther from the true class than a wrong prediction, by ${reference}.`,
      charts: [
        chart("widm", {
          title: `Mistakes by ${reference} (WIDM)`, isLarge: true, phasesOf: ({ curve }) => curve.startsWith("widm test"),
        }),
        sai(`the mistakes with ${reference}`, (series) => series.isMain && series.of === `${mistakesOf(series)},scsm`),
      ],
    },
  ];
  const shown = result.map((question) => ({ ...question, charts: question.charts.filter(({ lines }) => lines.length) }));
  return { questions: shown, more: remainingCharts(quantity, used) };
}

/** Return a chart for each kind of curve that no question uses; curves on training and test data are of one kind. */
function remainingCharts(quantity, used) {
  const order = ["accuracy", "loss", "sai"];
  const names = [...order, ...DATA.curves.others.map(({ name }) => name).filter((name) => !order.includes(name))];
  return names.flatMap((name) => {
    const curves = curvesOf(quantity, name, (series) => !used.has(series));
    const kindOf = ({ series }) => series.label.replace(`, ${series.split}`, "");
    const kinds = [...new Set(curves.map(kindOf))];
    return kinds.map((kind) => {
      const { panel } = curves[0];
      const ofKind = curves.filter((curve) => kindOf(curve) === kind);
      if (name === "sai") return chartOf(quantity, `${quantity.title}: ${kind}`, quantity.axis, ofKind);
      return chartOf(quantity, kinds.length === 1 ? panel.title : `${panel.title}: ${kind}`, panel.axis, ofKind);
    });
  });
}

/** Return the sections of the questions, the remaining charts in a disclosure, and all charts. */
function questionSections(quantity, actions) {
  const panels = [];
  const draw = (chart) => { const panel = curvePanel(chart, actions); panels.push(panel); return panel.node; };
  const { questions: all, more } = questions(quantity);
  const nodes = all.filter(({ charts }) => charts.length).map(({ title, text, charts }) => element("div", { class: "question" },
    element("h3", {}, title), faint(text, "p"), element("div", { class: "panels" }, charts.map(draw))));
  if (DATA.curves.phases.length) nodes.unshift(faint(PHASES, "p"));
  if (more.length) {
    nodes.push(element("details", { ontoggle: () => panels.forEach((panel) => panel.draw()) },
      element("summary", {}, `More curves (${more.length}): accuracy, loss and diagnostics`),
      element("div", { class: "panels" }, more.map(draw))));
  }
  return { nodes, panels };
}

/** Return a run's value of a measure in the first tile, at an epoch or at its last epoch before. */
function tilePoint(quantity, run, epoch) {
  const [curve] = curvesOf(quantity, "sai", (series) => series.run === run && isMainAgreement(series));
  const k = curve?.series.epochs.findLastIndex((at) => at <= epoch) ?? -1;
  if (k < 0) return null;
  const { series } = curve;
  const { isExcess } = quantity;
  const [low, high, z, chance] = [series.low, series.high, series.z, series.chance].map((values) => values?.[k] ?? null);
  const value = formatNumber((isExcess ? series.excess : series.value)[k], 2);
  const hasInterval = isExcess && low != null && high != null;
  let verdict = z > -DATA.min_z ? "within chance" : "below chance";
  if (z >= DATA.min_z) verdict = hasInterval && low <= 0 ? "uncertain" : "above chance";
  let interval = hasInterval ? `${formatNumber(low, 2)} to ${formatNumber(high, 2)}` : "";
  if (!isExcess && chance != null) interval = `chance ${formatNumber(chance, 2)}`;
  return { epoch: series.epochs[k], value, verdict: z == null ? "" : verdict, interval };
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
