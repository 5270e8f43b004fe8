// What stands below the matrices: neighbours, closest pairs, mistakes, classes.

const nearest = new Map();

/** Return the neighbours of every class and the closest pairs at an epoch, as `closest.py` packed them; null where there are none. */
async function nearestAt(run, epoch) {
  const near = run.near;
  const at = near ? near.epochs.indexOf(epoch) : -1;
  if (at < 0) return null;
  const key = `${near.lines}/${at}`;
  if (!nearest.has(key)) nearest.set(key, await unpacked(near.lines, at, near.levels));
  const numbers = nearest.get(key);
  const size = DATA.classes[run.classes].length;
  const part = (start, count) => numbers.subarray(start, start + count);
  const many = size * near.count;
  return {
    neighbours: (index) => [...part(index * near.count, near.count)].map((other, k) => ({ other, value: valueOf(near, part(many + index * near.count, near.count)[k]) })),
    pairs: [...part(2 * many, near.pairs)].map((first, k) => ({
      first, second: numbers[2 * many + near.pairs + k], value: valueOf(near, numbers[2 * many + 2 * near.pairs + k]),
    })),
  };
}

/** Return a panel of how similar a class was to some others, at the epochs at which these were among its nearest. */
async function historyPanel(run, names, chosen, others) {
  const { epochs, of, count } = run.near;
  const found = (await Promise.all(epochs.map((epoch) => nearestAt(run, epoch)))).map((near) => near.neighbours(chosen));
  const lines = others.map((other, k) => ({
    label: names[other], colour: `c${k % COLOURS}`, epochs,
    value: found.map((near) => near.find((one) => one.other === other)?.value ?? null),
  }));
  const near = count < names.length - 1 ? `, while among the ${count} nearest` : "";
  return { title: `How the nearest to ${names[chosen]} came about`, axis: of.toUpperCase() + near, lines };
}

/** Return a function (i, j) -> similarity in the reference matrix, null where there is none. */
async function referenceOf(run) {
  const matrix = run.matrices.find((one) => one.name === "scsm");
  if (!matrix) return null;
  const codes = await unpacked(matrix.lines, 0, matrix.levels);
  const size = DATA.classes[run.classes].length;
  return (i, j) => (i === j ? 1 : valueOf(matrix, codes[frameIndex(matrix, size, i, j)]));
}

/** Return what the section shows, and the panel in it. */
async function closestSection(run, names, epoch, chosen, choose, actions) {
  const [near, reference] = await Promise.all([nearestAt(run, epoch), referenceOf(run)]);
  if (!near) return { parts: [element("p", {}, "There is no similarity of the network's own at this epoch.")], panel: null };
  const own = run.near.of.toUpperCase();
  const wordnet = (pair) => (reference ? reference(...pair) : null);
  const classButton = (index) => element("button", { type: "button", class: "link", onclick: () => choose(index) }, names[index]);
  const similarities = (pair) => [
    { title: own, number: true, value: (row) => row.value },
    ...(reference ? [{ title: run.reference, number: true, value: (row) => wordnet(pair(row)) }] : []),
  ];
  const neighbours = near.neighbours(chosen);
  const ranked = neighbours.map((row, k) => ({ ...row, rank: k + 1 }));
  const panel = curvePanel(await historyPanel(run, names, chosen, neighbours.slice(0, 5).map((row) => row.other)), actions);
  const parts = [
    element("div", {},
      dataTable(`Nearest to ${names[chosen]}`, [
        { title: "rank", number: true, digits: 0, value: (row) => row.rank },
        { title: "class", value: (row) => names[row.other], node: (row) => classButton(row.other) },
        ...similarities((row) => [chosen, row.other]),
      ], ranked),
      run.near.epochs.length > 1 ? panel.node : null),
    dataTable(`Closest pairs of all classes by ${own}`, [
      { title: "class", value: (row) => names[row.first], node: (row) => classButton(row.first) },
      { title: "and", value: (row) => names[row.second], node: (row) => classButton(row.second) },
      ...similarities((row) => [row.first, row.second]),
    ], near.pairs),
  ];
  return { parts, panel };
}

/** Return the list that a class is chosen from; it stays where it is while what it rules is drawn anew. */
function classPicker(names, chosen, choose) {
  const sorted = names.map((name, index) => [index, name]).sort((a, b) => String(a[1]).localeCompare(b[1], "en"));
  return choice("Class", sorted, chosen, (index) => choose(Number(index)));
}

/** Return which classes and groups agree least with the reference, at the last epoch. */
function agreementSection(run, names) {
  const { epoch, of, classes, groups, small } = run.agreement;
  const numbers = [
    { title: "correlation", number: true, value: (row) => row.pearson },
    { title: "z", number: true, value: (row) => row.z, text: (row) => (row.z == null ? "–" : deviations(row.z)) },
  ];
  const own = of.toUpperCase();
  return [
    element("p", { class: "faint" }, `At epoch ${epoch}, those that agree least first. A class: how its similarities to all others in the ${own} go with those in the reference. A group: how the similarities of its classes among themselves do. 0 is chance, 1 the same up to scale; z is how many deviations above chance, so below about 2 it may be chance.`),
    element("div", { class: "two" },
      dataTable("Classes", [{ title: "class", value: (row) => row.name }, ...numbers],
        classes.map(([index, pearson, z]) => ({ name: names[index], pearson, z })), { first: 12 }),
      groups.length ? dataTable(`Groups${small ? ` (${small} left out: too few classes, or all alike)` : ""}`,
        [{ title: "group", value: (row) => row.name }, { title: "classes", number: true, digits: 0, value: (row) => row.count }, ...numbers],
        groups.map(([name, pearson, z, count]) => ({ name, pearson, z, count })), { first: 12 }) : null),
  ];
}

function mistakesSection(run) {
  const splits = Object.entries(run.mistaken);
  if (!splits.length) {
    return [element("p", {}, "There are no answers on labelled data. Add --predictions, or --test with --model, to see which classes are confused.")];
  }
  return splits.flatMap(([split, found]) => {
    const own = (found.own || "").toUpperCase();
    const ranks = `Ranks run from 1, the most similar to the truth, to ${found.furthest || found.wordnet_furthest || "the last"}.`;
    return [
      element("h3", {}, `On ${split}, epoch ${found.epoch ?? "–"}${found.is_last ? "" : ", the last with a mistake"}`),
      element("p", { class: "faint" }, `${found.found.toLocaleString("en")} pairs of classes were confused. ${ranks} A high rank is a mistake that similarity does not explain.`),
      element("div", { class: "two" }, dataTable("Most confused pairs", [
        { title: "truth", value: (row) => row.truth },
        { title: "taken for", value: (row) => row.prediction },
        { title: "times", number: true, digits: 0, value: (row) => row.count },
        { title: "of the class", number: true, value: (row) => row.share, text: (row) => `${(100 * row.share).toFixed(1)} %` },
        ...(own ? [{ title: `rank in ${own}`, number: true, value: (row) => row.rank, text: (row) => rank(row.rank) }] : []),
        { title: `rank in ${run.reference}`, number: true, value: (row) => row.wordnet_rank, text: (row) => rank(row.wordnet_rank) },
      ], found.pairs),
      found.mistakes ? gallery(found.mistakes, own, run.reference) : null),
    ];
  });
}

function rank(value) {
  return value == null ? "–" : String(value);
}

/** Return the most telling mistakes: as images where they open, else as a list. */
function gallery(mistakes, own, reference) {
  if (!mistakes.rows.length) return element("p", {}, "No sample was predicted wrong.");
  const told = `The ${mistakes.rows.length} mistakes furthest from the truth, of ${mistakes.found.toLocaleString("en")}`;
  const ranksOf = (row) => [own && row.rank != null ? `${own} ${row.rank}` : null, row.wordnet_rank != null ? `${reference} ${row.wordnet_rank}` : null].filter(Boolean).join(", ");
  if (!mistakes.rows.some((row) => row.image)) {
    return dataTable(`${told} (the predictions name no image that opens)`, [
      { title: "sample", number: true, digits: 0, value: (row) => row.sample, text: (row) => String(row.sample) },
      { title: "truth", value: (row) => row.truth },
      { title: "taken for", value: (row) => row.prediction },
      ...(mistakes.rows.some((row) => row.score != null) ? [{ title: "score", number: true, value: (row) => row.score }] : []),
      ...(own ? [{ title: `rank in ${own}`, number: true, value: (row) => row.rank, text: (row) => rank(row.rank) }] : []),
      { title: `rank in ${reference}`, number: true, value: (row) => row.wordnet_rank, text: (row) => rank(row.wordnet_rank) },
    ], mistakes.rows);
  }
  return element("figure", {}, element("figcaption", { class: "caption" }, `${told}: the truth, what it was taken for, its ranks`), element("ul", { class: "gallery" }, mistakes.rows.map((row) =>
    element("li", {},
      row.image ? element("img", { src: row.image, alt: `sample ${row.sample}: ${row.truth}` }) : element("span", { class: "no-image" }, "no image"),
      element("b", {}, row.truth), element("span", {}, `→ ${row.prediction}`), element("span", { class: "faint" }, ranksOf(row))))));
}

const CLASS_COLUMNS = ["name", "synset", "definition", "resolved_by", "confidence", "candidates", "group", "samples_train", "samples_test"];

function classesSection(run) {
  const rows = DATA.classes[run.classes].map((values, index) => ({ index, ...Object.fromEntries(CLASS_COLUMNS.map((name, k) => [name, values[k]])) }));
  if (rows.every((row) => row.name == null)) return element("p", {}, `The ${rows.length} classes have no names. Give them with --labels FILE or PRESET.`);
  const has = (name) => rows.some((row) => row[name] != null);
  const others = (row) => (row.candidates || []).filter((one) => one !== row.synset);
  return dataTable("Every class, and how its label was understood", [
    { title: "index", number: true, digits: 0, value: (row) => row.index, text: (row) => String(row.index) },
    { title: "name", value: (row) => row.name },
    ...(has("synset") ? [
      { title: "synset", value: (row) => row.synset, node: (row) => (row.synset == null ? element("strong", { class: "bad" }, "unresolved") : row.synset) },
      { title: "definition", value: (row) => row.definition, style: "wide" },
      { title: "resolved by", value: (row) => row.resolved_by },
      { title: "confidence", number: true, digits: 2, value: (row) => row.confidence, node: (row) => (row.confidence != null && row.confidence < DATA.uncertain ? element("strong", { class: "bad" }, `? ${row.confidence.toFixed(2)}`) : row.confidence == null ? "" : row.confidence.toFixed(2)) },
      { title: "could also be", value: (row) => others(row).join(", "), text: (row) => others(row).join(", "), style: "others" },
    ] : []),
    ...(has("group") ? [{ title: "group", value: (row) => row.group }] : []),
    ...(has("samples_train") ? [{ title: "train samples", number: true, digits: 0, value: (row) => row.samples_train }] : []),
    ...(has("samples_test") ? [{ title: "test samples", number: true, digits: 0, value: (row) => row.samples_test }] : []),
  ], rows, { filter: "Filter classes" });
}
