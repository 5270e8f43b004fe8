// The sections below the matrices (agreement, mistakes, class geometry, classes), and tables that can be sorted and filtered.

const SHOWN_MISTAKES = 8;
const MAX_CONFUSED_PAIRS = 30;

/** Return the epoch whose agreement of single classes the page shows at an epoch, and tables of this agreement, lowest first. */
function agreementSection(run, names, epochNow) {
  const epoch = nearestTo(epochNow, run.agreement.map(({ epoch: one }) => one));
  const { of, classes, groups, small } = run.agreement.find((one) => one.epoch === epoch);
  const verdict = ({ z }) => {
    if (z == null || Math.abs(z) < DATA.min_z) return z == null ? "" : "within chance";
    return z > 0 ? "above chance" : "below chance";
  };
  const numbers = [
    numberColumn("agreement", "pearson"),
    { ...numberColumn("z", "z"), text: ({ z }) => (z == null ? "–" : deviations(z)) },
    { title: "compared with chance", value: verdict, style: "faint" },
  ];
  const without = small ? ` (without ${small} groups that have too few classes or only equal similarities)` : "";
  const nodes = [
    faint("The tables list the lowest agreement first. The agreement of a class is the Pearson correlation of its similarities to "
      + `all other classes in the ${of.toUpperCase()} with those in the reference. The agreement of a group uses the similarities `
      + "between its classes. 0 is chance, and 1 is perfect. z is the number of standard deviations above chance. An agreement is "
      + `above chance from a z of ${DATA.min_z} on, and below chance from −${DATA.min_z} on.`, "p"),
    element("div", { class: "two" },
      dataTable("Classes", [column("class", "name"), ...numbers],
        classes.map(([index, pearson, z]) => ({ name: names[index], pearson, z })), { first: 12 }),
      groups.length ? dataTable(`Groups${without}`, [column("group", "name"), numberColumn("classes", "count", 0), ...numbers],
        groups.map(([name, pearson, z, count]) => ({ name, pearson, z, count })), { first: 12 }) : null),
  ];
  return { epoch, nodes: nodes.filter(Boolean) };
}

/** Return the most confused pairs at an epoch, and the mistakes furthest from the truth at the last epoch with a mistake. */
async function mistakesSection(run, names, epoch) {
  const splits = Object.entries(run.mistaken);
  if (!splits.length) {
    return [element("p", {}, "There are no predictions on labelled data. To see confused classes, run dsi analyze with "
      + "--predictions, or with --test and --model.")];
  }
  const all = await Promise.all(splits.map(async ([split, data]) => {
    const found = !run.has_epochs || epoch === data.epoch ? data : await confusedPairs(run, names, split, epoch);
    const shown = found || data;
    const note = found ? "" : `This page does not contain the confusion matrix of epoch ${epoch}. `;
    const own = (data.own || "").toUpperCase();
    const last = data.furthest || data.wordnet_furthest;
    const lastRank = last > 1 ? `, and rank ${last} is the least similar class` : "";
    return [
      element("h3", {}, `On ${split}, ${epochTitle(run, found ? epoch : data.epoch)}`),
      faint(`${note}The network confused ${shown.found ? shown.found.toLocaleString("en") : "no"} `
        + `${shown.found === 1 ? "pair" : "pairs"} of classes. `
        + `Rank 1 is the class most similar to the true class${lastRank}. `
        + "A similarity explains a mistake if the predicted class is in the first tenth of its ranks.", "p"),
      element("div", { class: "two" }, dataTable("Most confused pairs", [
        column("true class", "truth"),
        column("predicted class", "prediction"),
        shown.pairs.some((row) => row.count != null) && numberColumn("mistakes", "count", 0),
        { ...numberColumn("share of the true class", "share"), text: ({ share }) => percentText(share) },
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
  const [frame, ownFrame, referenceFrame] = await completeFramesAt(epoch, matrixOf(run, `ccsm-${split}`), own, reference);
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
    ...pair, truth: names[pair.i], prediction: names[pair.j],
    rank: rankIn(own, ownFrame, pair), wordnet_rank: rankIn(reference, referenceFrame, pair),
  })) };
}

/** Return a rank as a whole number; the mean rank of equal values can lie between two. */
const roundedRank = (value) => (value == null ? "–" : Math.round(value).toLocaleString("en"));

function rankColumn(matrix, name) {
  return { ...numberColumn(`rank in ${matrix}`, name), text: (row) => roundedRank(row[name]) };
}

/** Return the mistakes that are furthest from the true class, as images if any can be opened, otherwise as a table. */
function gallery(mistakes, own, reference) {
  if (!mistakes.rows.length) return element("p", {}, "There are no wrong predictions.");
  const at = mistakes.epoch == null ? "" : ` at epoch ${mistakes.epoch}, the last one with mistakes`;
  const found = mistakes.found.toLocaleString("en");
  const most = mistakes.rows.length === 1 ? "1 mistake" : `${mistakes.rows.length} mistakes`;
  const caption = `The ${most} furthest from the true class${at}, out of ${found}`;
  if (!mistakes.rows.some((row) => row.image)) {
    return dataTable(`${caption}. Images are shown if the predictions name them`, [
      { ...numberColumn("sample", "sample"), text: (row) => String(row.sample) },
      column("true class", "truth"),
      column("predicted class", "prediction"),
      mistakes.rows.some((row) => row.score != null) && numberColumn("score", "score"),
      own && rankColumn(own, "rank"),
      rankColumn(reference, "wordnet_rank"),
    ], mistakes.rows, { first: SHOWN_MISTAKES });
  }
  const ranksOf = (row) => [[own, row.rank], [reference, row.wordnet_rank]].filter(([name, rank]) => name && rank != null)
    .map(([name, rank]) => `${name} ${roundedRank(rank)}`).join(", ");
  const item = (row) => element("li", {},
    row.image ? sampleImage(row) : element("span", { class: "no-image" }, "no image"),
    element("b", {}, row.truth), element("span", {}, `→ ${row.prediction}`), faint(ranksOf(row)));
  const list = element("ul", { class: "gallery" }, mistakes.rows.slice(0, SHOWN_MISTAKES).map(item));
  const rest = mistakes.rows.slice(SHOWN_MISTAKES);
  const showAll = () => { list.append(...rest.map(item)); more.remove(); };
  const more = element("button", { type: "button", hidden: !rest.length, onclick: showAll }, `Show ${rest.length} more`);
  const title = `${caption}: the true class, the predicted class and its ranks`;
  return element("figure", {}, element("figcaption", { class: "caption" }, title), list, more);
}

const sampleImage = ({ image, sample, truth }) => element("img", { src: image, alt: `sample ${sample}: ${truth}` });

function classesSection(run) {
  const rows = DATA.classes[run.classes].map((row, index) => ({ index, ...row }));
  if (rows.every((row) => row.name == null)) {
    return element("p", {}, `The ${rows.length} classes have no names. Add names with dsi analyze --labels FILE or PRESET.`);
  }
  const has = (name) => rows.some((row) => row[name] != null);
  const hasSynset = has("synset");
  const confidence = ({ confidence: value }) => {
    if (value == null) return "";
    return value < DATA.uncertain ? element("strong", { class: "bad" }, `? ${value.toFixed(2)}`) : value.toFixed(2);
  };
  const others = (row) => (row.candidates || []).filter((synset) => synset !== row.synset).join(", ");
  const unclearOthers = (row) => (row.confidence === 1 ? "" : others(row));
  return dataTable("All classes with their WordNet synsets", [
    { ...numberColumn("index", "index"), text: (row) => String(row.index) },
    column("name", "name"),
    ...(hasSynset ? [
      { ...column("synset", "synset"), node: (row) => row.synset ?? element("strong", { class: "bad" }, "unresolved") },
      { ...column("definition", "definition"), style: "wide" },
      column("resolved by", "resolved_by"),
      { ...numberColumn("confidence (0 to 1)", "confidence", 2), node: confidence },
      { title: "other candidates", value: others, text: unclearOthers, style: "others" },
    ] : []),
    has("group") && { ...column("group", "group"), text: (row) => plainSynset(row.group) },
    has("samples_train") && numberColumn("train samples", "samples_train", 0),
    has("samples_test") && numberColumn("test samples", "samples_test", 0),
  ], rows, { filter: "Filter classes", first: 12, hidesConstants: true });
}

/** Return the name of a group without the suffix of its synset: carnivore for carnivore.n.01. */
const plainSynset = (name) => (name == null ? "–" : name.replace(/\.[^.]*\.\d+$/, "").replaceAll("_", " "));

/** Return the question whether the class vectors become a simplex, with its charts; `chart` is that of the other questions. */
function geometryQuestion(view, chart) {
  const data = DATA.runs[view.runs[0]].geometry;
  const fits = !data || data.features >= data.count - 1;
  const limit = fits ? ""
    : ` This head has ${data.features} features, too few for a simplex of ${data.count.toLocaleString("en")} classes.`;
  return {
    title: "Do the class vectors become a simplex (neural collapse)?",
    text: "In a simplex, all class vectors have the same length and every two of them the same angle. Both deviations are then 0, "
      + "and the effective rank is the number of classes minus 1. A random head of many features is not far from a simplex, so "
      + `compare a curve with its grey chance level.${limit}`,
    charts: [
      chart("nc2_angles", { title: "Angles: mean deviation of the cosines from those of a simplex" }),
      chart("nc2_norms", { title: "Norms: standard deviation over mean" }),
      chart("effective_rank", { title: "Effective rank of the centred head" }),
    ],
  };
}

/** Return the table of the class vectors of a run, the longest first, and the chart of the spectrum. */
function geometrySection(run, names) {
  const { epochs, count, classes } = run.geometry;
  const rows = classes.map(([index, start, norm, bias, previous, drift]) => (
    { name: names[index], start, norm, bias, previous, drift }));
  const shown = [
    column("class", "name"),
    numberColumn("norm", "norm"),
    ...(epochs.length > 1 ? [
      numberColumn("first norm", "start"),
      numberColumn("angle to the checkpoint before (degrees)", "previous", 2),
      numberColumn(`angle since epoch ${epochs[0]} (degrees)`, "drift", 1),
    ] : []),
    rows.some(({ bias }) => bias != null) && numberColumn("bias", "bias"),
  ];
  const chance = 180 / Math.PI / Math.sqrt(run.geometry.features);
  const all = count.toLocaleString("en");
  return [
    faint(`The table describes the class vectors, which are the rows of the classifier, at ${epochTitle(run, epochs.at(-1))}. In `
      + "networks trained on unbalanced data, rare classes often have short vectors (Kang et al. 2020, arXiv 1910.09217). "
      + `Unrelated directions have an angle of 90 ± ${chance.toFixed(1)} degrees (standard deviation).`
      + (count > rows.length ? ` Of ${all} classes, the table has those with the longest and the shortest vectors.` : ""), "p"),
    dataTable("Class vectors", shown, rows, { filter: "Filter class vectors", first: 12 }),
    ...(run.geometry.spectrum ? [spectrumChart(run)] : []),
  ];
}

/** Return the chart of the cumulative shares of the singular values at the first and the last epoch. */
function spectrumChart(run) {
  const { numbers, epochs, chance, first, last } = run.geometry.spectrum;
  const lines = [[epochs[0], first], [epochs[1], last]].slice(epochs[0] === epochs[1] ? 1 : 0)
    .map(([epoch, value], k) => rawLine({ epochs: numbers, value, chance }, k, epochTitle(run, epoch)));
  const chart = {
    title: "Spectrum of the centred head at the first and the last epoch", axis: "share of the squared singular values", lines,
    along: "number of singular values, the largest first", item: "singular value",
  };
  const panel = curvePanel(chart, { point: (number) => panel.mark(number ?? numbers[0]) });
  new ResizeObserver(() => { panel.draw(); panel.mark(numbers[0]); }).observe(panel.node);
  return element("div", { class: "panels" }, panel.node);
}

/** Return the column of a table with the values of one name. */
const column = (title, name) => ({ title, value: (row) => row[name] });

const numberColumn = (title, name, digits = 3) => ({ ...column(title, name), number: true, digits });

/** Return a table. A column is false or {title, value(row), text(row), node(row), number, style}; title and value are required. */
function dataTable(caption, allColumns, rows, { filter = null, first = 200, hidesConstants = false } = {}) {
  const isSame = (column) => rows.every((row) => textOf(column, row) === textOf(column, rows[0]));
  const isConstant = (column) => hidesConstants && rows.length > 3 && isSame(column);
  const given = allColumns.filter(Boolean);
  const columns = given.filter((column) => !isConstant(column));
  const constants = given.filter(isConstant).map((column) => [column.title, textOf(column, rows[0])])
    .filter(([, text]) => !["", "–"].includes(String(text).trim()));
  const sorting = { column: null, isFalling: false };
  let filterText = "";
  let showAll = false;
  const body = element("tbody");
  const count = element("span", { class: "faint", role: "status" });
  const more = element("button", { type: "button", onclick: () => { showAll = true; fill(); } });
  const heads = columns.map((column) => headCell(
    element("button", { type: "button", class: "sort", onclick: () => sortBy(column) }, column.title), column.number));
  const table = element("table", {},
    element("caption", {}, caption, constants.map(([title, text]) => faint(`; ${title}: ${text} for all`))),
    element("thead", {}, element("tr", {}, heads)), body);
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
    const hasText = (row) => columns.some((column) => String(textOf(column, row)).toLowerCase().includes(filterText));
    const { column: by, isFalling } = sorting;
    const found = filterText ? rows.filter(hasText) : rows;
    const matching = by ? found.toSorted((a, b) => compareValues(by.value(a), by.value(b), isFalling)) : found;
    const visibleRows = showAll ? matching : matching.slice(0, first);
    count.textContent = `${matching.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
    more.hidden = visibleRows.length === matching.length;
    more.textContent = `Show all ${matching.length.toLocaleString("en")} rows`;
    const cell = (row) => (column) =>
      element("td", { class: column.number ? "number" : column.style }, column.node ? column.node(row) : textOf(column, row));
    const nothing = element("tr", {}, element("td", { colspan: columns.length, class: "faint" }, "no matching rows"));
    body.replaceChildren(...(matching.length ? visibleRows.map((row) => element("tr", {}, columns.map(cell(row)))) : [nothing]));
  }

  fill();
  return node;
}

/** Return a cell of the head of a table. */
const headCell = (content, isNumber) => element("th", { scope: "col", class: isNumber ? "number" : null }, content);

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
