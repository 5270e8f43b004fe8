// The sections below the matrices (agreement, mistakes, class geometry, classes), and their tables, which can be sorted and filtered.

const SHOWN_MISTAKES = 8;
const MAX_CONFUSED_PAIRS = 30;

/** Return tables of the agreement of single classes and groups with the reference at the last epoch, lowest first. */
function agreementSection(run, names) {
  const { epoch, of, classes, groups, small } = run.agreement;
  const numbers = [
    { title: "correlation", number: true, value: (row) => row.pearson },
    { title: "z", number: true, value: (row) => row.z, text: (row) => (row.z == null ? "–" : deviations(row.z)) },
    { title: "compared with chance", value: (row) => (row.z == null || row.z >= 2 ? "" : row.z > -2 ? "within chance" : "below chance"), style: "faint" },
  ];
  const own = of.toUpperCase();
  return [
    element("p", { class: "faint" }, `The tables list the lowest agreement at epoch ${epoch} first. The agreement of a class is the Pearson correlation of its similarities to all other classes in the ${own} with those in the reference. The agreement of a group uses the similarities between its classes. 0 is chance, and 1 is perfect. z is the number of standard deviations above chance; values from -2 to 2 are within chance, and of 100 classes a few leave this range by chance.`),
    element("div", { class: "two" },
      dataTable("Classes", [{ title: "class", value: (row) => row.name }, ...numbers],
        classes.map(([index, pearson, z]) => ({ name: names[index], pearson, z })), { first: 12 }),
      groups.length ? dataTable(`Groups${small ? ` (without ${small} groups that have too few classes or only equal similarities)` : ""}`,
        [{ title: "group", value: (row) => row.name }, { title: "classes", number: true, digits: 0, value: (row) => row.count }, ...numbers],
        groups.map(([name, pearson, z, count]) => ({ name, pearson, z, count })), { first: 12 }) : null),
  ];
}

/** Return the most confused pairs at an epoch, and the mistakes furthest from the truth at the last epoch with a mistake. */
async function mistakesSection(run, names, epoch) {
  const splits = Object.entries(run.mistaken);
  if (!splits.length) {
    return [element("p", {}, "There are no predictions on labelled data. To see confused classes, run dsi analyze with --predictions, or with --test and --model.")];
  }
  const all = await Promise.all(splits.map(async ([split, data]) => {
    const found = !run.has_epochs || epoch === data.epoch ? data : await confusedPairs(run, names, split, epoch);
    const shown = found || data;
    const note = found ? "" : `This page does not contain the confusion matrix of epoch ${epoch}. `;
    const own = (data.own || "").toUpperCase();
    const last = data.furthest || data.wordnet_furthest;
    const ranks = `Rank 1 is the class most similar to the true class${last ? `, and rank ${last} is the least similar class` : ""}.`;
    return [
      element("h3", {}, `On ${split}, epoch ${run.has_epochs ? (found ? epoch : data.epoch) : "–"}`),
      element("p", { class: "faint" }, `${note}The network confused ${shown.found ? shown.found.toLocaleString("en") : "no"} pairs of classes. ${ranks} A similarity explains a mistake if the predicted class is in the first tenth of its ranks.`),
      element("div", { class: "two" }, dataTable("Most confused pairs", [
        { title: "true class", value: (row) => row.truth },
        { title: "predicted class", value: (row) => row.prediction },
        shown.pairs.some((row) => row.count != null) && { title: "mistakes", number: true, digits: 0, value: (row) => row.count },
        { title: "share of the true class", number: true, value: (row) => row.share, text: (row) => `${(100 * row.share).toFixed(1)} %` },
        own && rankColumn(own, "rank"),
        rankColumn(run.reference, "wordnet_rank"),
        { title: "explained by", value: (row) => explanation(row, data, run.reference), style: "faint" },
      ], shown.pairs, { first: SHOWN_MISTAKES }),
      data.mistakes ? gallery(data.mistakes, own, run.reference) : null),
    ];
  }));
  return all.flat();
}

/** Return by which similarities a pair of confused classes is near, as text. */
function explanation(row, { furthest, wordnet_furthest: last }, reference) {
  const isNear = (rank, ranks) => rank != null && rank <= Math.max(1, 0.1 * ranks);
  const near = [isNear(row.rank, furthest) ? "network" : null, isNear(row.wordnet_rank, last) ? reference : null].filter(Boolean);
  return near.length === 2 ? "both" : near[0] ?? "neither";
}

/** Return the most confused pairs of a split at an epoch, computed from the matrices; null if the page does not have the matrix. */
async function confusedPairs(run, names, split, epoch) {
  const { own, reference } = mainMatrices(run);
  const [frame, ownFrame, referenceFrame] = await Promise.all(
    [matrixOf(run, `ccsm-${split}`), own, reference].map((matrix) => completeFrame(matrix, epoch)));
  if (!frame) return null;
  const pairs = [];
  for (let i = 0; i < names.length; i++) {
    for (let j = 0; j < names.length; j++) {
      const counted = i !== j && confusion(run, frame, names.length, i, j);
      if (counted && counted.share > 0) pairs.push({ i, j, ...counted });
    }
  }
  pairs.sort((a, b) => b.count - a.count || b.share - a.share);
  const rankIn = (matrix, ranked, { i, j }) => (ranked ? neighbourRank(matrix, ranked, names.length, i, j) : null);
  return { found: pairs.length, pairs: pairs.slice(0, MAX_CONFUSED_PAIRS).map((pair) => ({
    ...pair, truth: names[pair.i], prediction: names[pair.j], rank: rankIn(own, ownFrame, pair), wordnet_rank: rankIn(reference, referenceFrame, pair),
  })) };
}

/** Return a rank as a whole number; the mean rank of equal values can lie between two. */
function roundedRank(value) {
  return value == null ? "–" : Math.round(value).toLocaleString("en");
}

function rankColumn(matrix, name) {
  return { title: `rank in ${matrix}`, number: true, value: (row) => row[name], text: (row) => roundedRank(row[name]) };
}

/** Return the mistakes that are furthest from the true class, as images if any can be opened, otherwise as a table. */
function gallery(mistakes, own, reference) {
  if (!mistakes.rows.length) return element("p", {}, "There are no wrong predictions.");
  const caption = `The ${mistakes.rows.length} mistakes furthest from the true class${mistakes.epoch == null ? "" : ` at epoch ${mistakes.epoch}`}, out of ${mistakes.found.toLocaleString("en")}`;
  const ranksOf = (row) => [own && row.rank != null ? `${own} ${roundedRank(row.rank)}` : null, row.wordnet_rank != null ? `${reference} ${roundedRank(row.wordnet_rank)}` : null].filter(Boolean).join(", ");
  if (!mistakes.rows.some((row) => row.image)) {
    return dataTable(`${caption}. Images are shown if the predictions name them`, [
      { title: "sample", number: true, digits: 0, value: (row) => row.sample, text: (row) => String(row.sample) },
      { title: "true class", value: (row) => row.truth },
      { title: "predicted class", value: (row) => row.prediction },
      mistakes.rows.some((row) => row.score != null) && { title: "score", number: true, value: (row) => row.score },
      own && rankColumn(own, "rank"),
      rankColumn(reference, "wordnet_rank"),
    ], mistakes.rows, { first: SHOWN_MISTAKES });
  }
  const item = (row) => element("li", {},
    row.image ? element("img", { src: row.image, alt: `sample ${row.sample}: ${row.truth}` }) : element("span", { class: "no-image" }, "no image"),
    element("b", {}, row.truth), element("span", {}, `→ ${row.prediction}`), element("span", { class: "faint" }, ranksOf(row)));
  const list = element("ul", { class: "gallery" }, mistakes.rows.slice(0, SHOWN_MISTAKES).map(item));
  const rest = mistakes.rows.slice(SHOWN_MISTAKES);
  const more = element("button", { type: "button", hidden: !rest.length, onclick: () => { list.append(...rest.map(item)); more.remove(); } }, `Show ${rest.length} more`);
  return element("figure", {}, element("figcaption", { class: "caption" }, `${caption}: the true class, the predicted class and its ranks`), list, more);
}

function classesSection(run) {
  const rows = DATA.classes[run.classes].map((row, index) => ({ index, ...row }));
  if (rows.every((row) => row.name == null)) return element("p", {}, `The ${rows.length} classes have no names. Add names with dsi analyze --labels FILE or PRESET.`);
  const has = (name) => rows.some((row) => row[name] != null);
  const hasSynset = has("synset");
  const confidence = ({ confidence: value }) => {
    if (value == null) return "";
    return value < DATA.uncertain ? element("strong", { class: "bad" }, `? ${value.toFixed(2)}`) : value.toFixed(2);
  };
  const others = (row) => (row.candidates || []).filter((synset) => synset !== row.synset);
  return dataTable("All classes with their WordNet synsets", [
    { title: "index", number: true, digits: 0, value: (row) => row.index, text: (row) => String(row.index) },
    { title: "name", value: (row) => row.name },
    hasSynset && { title: "synset", value: (row) => row.synset, node: (row) => row.synset ?? element("strong", { class: "bad" }, "unresolved") },
    hasSynset && { title: "definition", value: (row) => row.definition, style: "wide" },
    hasSynset && { title: "resolved by", value: (row) => row.resolved_by },
    hasSynset && { title: "confidence (0 to 1)", number: true, digits: 2, value: (row) => row.confidence, node: confidence },
    hasSynset && { title: "other candidates", value: (row) => others(row).join(", "), text: (row) => (row.confidence === 1 ? "" : others(row).join(", ")), style: "others" },
    has("group") && { title: "group", value: (row) => row.group, text: (row) => plainSynset(row.group) },
    has("samples_train") && { title: "train samples", number: true, digits: 0, value: (row) => row.samples_train },
    has("samples_test") && { title: "test samples", number: true, digits: 0, value: (row) => row.samples_test },
  ], rows, { filter: "Filter classes", first: 12, hidesConstants: true });
}

/** Return the name of a group without the suffix of its synset: carnivore for carnivore.n.01. */
function plainSynset(name) {
  return name == null ? "–" : name.replace(/\.[^.]*\.\d+$/, "").replaceAll("_", " ");
}

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
    epochs.length > 1 && column("first norm", "start", 3),
    epochs.length > 1 && { title: "norm over the epochs", value: (row) => row.norm - row.start, text: () => "", node: (row) => sparkline(row.norms, largest) },
    epochs.length > 1 && column("angle to the checkpoint before (degrees)", "previous", 2),
    epochs.length > 1 && column(`angle since epoch ${first} (degrees)`, "drift", 1),
    rows.some(({ bias }) => bias != null) && column("bias", "bias", 3),
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

const FIRST_ROWS = 200;

/** Return a table. A column is {title, value(row), text(row), node(row), number, style}, where title and value are required, or false. */
function dataTable(caption, allColumns, rows, { filter = null, first = FIRST_ROWS, hidesConstants = false } = {}) {
  const isConstant = (column) => hidesConstants && rows.length > 3 && rows.every((row) => textOf(column, row) === textOf(column, rows[0]));
  const columns = allColumns.filter((column) => column && !isConstant(column));
  const constants = allColumns.filter((column) => column && isConstant(column) && String(textOf(column, rows[0])).trim() && textOf(column, rows[0]) !== "–");
  const sorting = { column: null, isFalling: false };
  let filterText = "";
  let showAll = false;
  const body = element("tbody");
  const count = element("span", { class: "faint", role: "status" });
  const more = element("button", { type: "button", onclick: () => { showAll = true; fill(); } });
  const heads = columns.map((column) => element("th", { scope: "col", class: column.number ? "number" : null },
    column.title ? element("button", { type: "button", class: "sort", onclick: () => sortBy(column) }, column.title) : null));
  const table = element("table", {}, element("caption", {}, caption, constants.map((column) => element("span", { class: "faint" }, `; ${column.title}: ${textOf(column, rows[0])} for all`))), element("thead", {}, element("tr", {}, heads)), body);
  const search = filter && element("input", { type: "search", placeholder: filter, "aria-label": filter,
    oninput: (event) => { filterText = event.target.value.trim().toLowerCase(); fill(); } });
  const node = element("div", { class: "data-table" },
    filter ? element("div", { class: "controls" }, search, count) : null,
    element("div", { class: "scroll bounded", tabindex: "0", role: "region", "aria-label": caption }, table), more);

  function sortBy(column) {
    sorting.isFalling = sorting.column === column ? !sorting.isFalling : Boolean(column.number);
    sorting.column = column;
    const direction = sorting.isFalling ? "descending" : "ascending";
    heads.forEach((head, k) => head.setAttribute("aria-sort", columns[k] === column ? direction : "none"));
    fill();
  }

  function fill() {
    let matching = rows;
    if (filterText) matching = matching.filter((row) => columns.some((column) => String(textOf(column, row)).toLowerCase().includes(filterText)));
    if (sorting.column) matching = [...matching].sort((a, b) => compareValues(sorting.column.value(a), sorting.column.value(b), sorting.isFalling));
    const visibleRows = showAll ? matching : matching.slice(0, first);
    count.textContent = `${matching.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
    more.hidden = visibleRows.length === matching.length;
    more.textContent = `Show all ${matching.length.toLocaleString("en")} rows`;
    if (!matching.length) return body.replaceChildren(element("tr", {}, element("td", { colspan: columns.length, class: "faint" }, "no matching rows")));
    const cell = (column, row) => element("td", { class: column.number ? "number" : column.style }, column.node ? column.node(row) : textOf(column, row));
    body.replaceChildren(...visibleRows.map((row) => element("tr", {}, columns.map((column) => cell(column, row)))));
  }

  fill();
  return node;
}

function textOf(column, row) {
  if (column.text) return column.text(row);
  const value = column.value(row);
  if (value == null) return "–";
  return column.number ? formatNumber(value, column.digits ?? 3) : value;
}

/** Compare two values for sorting; missing values come last. */
function compareValues(a, b, isFalling) {
  if (a == null || b == null) return (a == null) - (b == null);
  const order = typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return isFalling ? -order : order;
}
