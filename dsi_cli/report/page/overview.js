// The first screen: charts of the agreement over epochs and against accuracy, and four small matrices.

/** Return the two charts of the first screen. */
function overviewCharts(view, actions) {
  const agreement = agreementChart({ ...view, axis: "epoch" }, true);
  if (!agreement.lines.length) return [];
  const isSingle = agreement.lines.every((line) => line.epochs.length < 2);
  const charts = isSingle ? [] : [{ ...agreement, title: `${agreement.title} over epochs`, phases: [] }];
  const hasAccuracy = view.runs.every((index) => accuracyOf(index).size > 1);
  if (hasAccuracy) charts.push({ ...agreementChart({ ...view, axis: "accuracy" }, true), title: "Agreement against accuracy", phases: [] });
  return charts.map((chart) => curvePanel(chart, actions));
}

/** Return the small matrices of a run: the network at the first and the chosen epoch, its mistakes, and the reference. */
async function smallMatrices(run, epoch, order, theme) {
  const find = (name) => run.matrices.find((matrix) => matrix.name === name);
  const [own, mistakes, reference] = [find(run.own), find(`ccsm-${run.splits[0] ?? "test"}`), find("scsm")];
  const at = run.has_epochs ? (value) => `, epoch ${value}` : () => "";
  const parts = [
    own && run.epochs.length > 1 && epoch !== run.epochs[0] ? [own, run.epochs[0], `network${at(run.epochs[0])}`] : null,
    own ? [own, epoch, `network${at(epoch)}`] : null,
    mistakes ? [mistakes, epoch, `its mistakes${at(epoch)}`] : null,
    reference ? [reference, epoch, run.reference] : null,
  ].filter(Boolean);
  const pictures = await Promise.all(parts.map(([matrix, shown]) => thumbnail(matrix, shown, order, theme)));
  return pictures.map((canvas, k) => {
    if (!canvas) return null;
    describeMatrix(canvas, `Similarities of all pairs of classes: ${parts[k][2]}`);
    return element("figure", { class: "small-matrix" }, element("a", { href: "#matrices" }, canvas), element("figcaption", {}, parts[k][2]));
  }).filter(Boolean);
}

/** Return the legend of the small matrices. */
function rankLegend(theme) {
  return element("div", { class: "rank-legend" }, element("span", { class: "faint" }, "One cell per pair of classes: less similar half"), colourBar(theme), element("span", { class: "faint" }, "rank 1, the most similar pair"));
}
