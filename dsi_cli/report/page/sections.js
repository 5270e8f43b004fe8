// The sections below the matrices: agreement, mistakes, classes.

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
        ...(shown.pairs.some((row) => row.count != null) ? [{ title: "mistakes", number: true, digits: 0, value: (row) => row.count }] : []),
        { title: "share of the true class", number: true, value: (row) => row.share, text: (row) => `${(100 * row.share).toFixed(1)} %` },
        ...(own ? [{ title: `rank in ${own}`, number: true, value: (row) => row.rank, text: (row) => roundedRank(row.rank) }] : []),
        { title: `rank in ${run.reference}`, number: true, value: (row) => row.wordnet_rank, text: (row) => roundedRank(row.wordnet_rank) },
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
  const [own, reference] = [ownMatrix(run), referenceMatrix(run)];
  const [frame, ownFrame, referenceFrame] = await Promise.all(
    [run.matrices.find(({ name }) => name === `ccsm-${split}`), own, reference].map((matrix) => completeFrame(matrix, epoch)));
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
      ...(mistakes.rows.some((row) => row.score != null) ? [{ title: "score", number: true, value: (row) => row.score }] : []),
      ...(own ? [{ title: `rank in ${own}`, number: true, value: (row) => row.rank, text: (row) => roundedRank(row.rank) }] : []),
      { title: `rank in ${reference}`, number: true, value: (row) => row.wordnet_rank, text: (row) => roundedRank(row.wordnet_rank) },
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

const CLASS_COLUMNS = ["name", "synset", "definition", "resolved_by", "confidence", "candidates", "group", "samples_train", "samples_test"];

function classesSection(run) {
  const rows = DATA.classes[run.classes].map((values, index) => ({ index, ...Object.fromEntries(CLASS_COLUMNS.map((name, k) => [name, values[k]])) }));
  if (rows.every((row) => row.name == null)) return element("p", {}, `The ${rows.length} classes have no names. Add names with dsi analyze --labels FILE or PRESET.`);
  const has = (name) => rows.some((row) => row[name] != null);
  const others = (row) => (row.candidates || []).filter((synset) => synset !== row.synset);
  return dataTable("All classes with their WordNet synsets", [
    { title: "index", number: true, digits: 0, value: (row) => row.index, text: (row) => String(row.index) },
    { title: "name", value: (row) => row.name },
    ...(has("synset") ? [
      { title: "synset", value: (row) => row.synset, node: (row) => (row.synset == null ? element("strong", { class: "bad" }, "unresolved") : row.synset) },
      { title: "definition", value: (row) => row.definition, style: "wide" },
      { title: "resolved by", value: (row) => row.resolved_by },
      { title: "confidence (0 to 1)", number: true, digits: 2, value: (row) => row.confidence, node: (row) => (row.confidence != null && row.confidence < DATA.uncertain ? element("strong", { class: "bad" }, `? ${row.confidence.toFixed(2)}`) : row.confidence == null ? "" : row.confidence.toFixed(2)) },
      { title: "other candidates", value: (row) => others(row).join(", "), text: (row) => (row.confidence === 1 ? "" : others(row).join(", ")), style: "others" },
    ] : []),
    ...(has("group") ? [{ title: "group", value: (row) => row.group, text: (row) => plainSynset(row.group) }] : []),
    ...(has("samples_train") ? [{ title: "train samples", number: true, digits: 0, value: (row) => row.samples_train }] : []),
    ...(has("samples_test") ? [{ title: "test samples", number: true, digits: 0, value: (row) => row.samples_test }] : []),
  ], rows, { filter: "Filter classes", first: 12, hidesConstants: true });
}

/** Return the name of a group without the suffix of its synset: carnivore for carnivore.n.01. */
function plainSynset(name) {
  return name == null ? "–" : name.replace(/\.[a-z]\.\d+$/, "").replaceAll("_", " ");
}
