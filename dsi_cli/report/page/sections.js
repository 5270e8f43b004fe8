// The sections below the matrices (agreement of classes, mistakes), and their tables.

const MAX_CONFUSED_PAIRS = 30;

/** Return the epoch whose agreement of single classes the page shows at an epoch, and tables of this agreement, lowest first. */
function agreementSection(run, names, epochNow) {
  const epoch = nearestTo(epochNow, run.agreement.map(({ epoch: one }) => one));
  const { classes, groups, small } = run.agreement.find((one) => one.epoch === epoch);
  const numbers = [numberColumn("agreement", "pearson"), numberColumn("z", "z", 1)];
  const without = small ? ` (without ${small} groups that have too few classes or only equal similarities)` : "";
  const nodes = [
    faint("The tables list the lowest agreement first. The agreement of a class is the Pearson correlation of its similarities to "
      + `all other classes in the network with those in ${run.reference}. The agreement of a group uses the similarities `
      + "between its classes. 0 is chance, and 1 is the same. z is the number of standard deviations above chance. An agreement is "
      + `above chance from a z of ${DATA.min_z} on, and below chance from −${DATA.min_z} on.`, "p"),
    element("div", { class: "two" },
      dataTable("Classes", [column("class", "name"), ...numbers],
        classes.map(([index, pearson, z]) => ({ name: names[index], pearson, z }))),
      groups.length ? dataTable(`Groups${without}`, [column("group", "name"), numberColumn("classes", "count", 0), ...numbers],
        groups.map(([name, pearson, z, count]) => ({ name, pearson, z, count }))) : ""),
  ];
  return { epoch, nodes };
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
    const last = data.furthest || data.wordnet_furthest;
    const lastRank = last > 1 ? `, and rank ${last} is the least similar class` : "";
    return [
      element("h3", {}, `On ${split}, ${epochTitle(run, found ? epoch : data.epoch)}`),
      faint(`The network confused ${shown.found ? shown.found.toLocaleString("en") : "no"} `
        + `${shown.found === 1 ? "pair" : "pairs"} of classes. `
        + `Rank 1 is the class most similar to the true class${lastRank}.`, "p"),
      element("div", { class: "two" }, dataTable("Most confused pairs", [
        column("true class", "truth"),
        column("predicted class", "prediction"),
        shown.pairs.some((row) => row.count != null) && numberColumn("mistakes", "count", 0),
        { ...numberColumn("share of the true class", "share"), text: ({ share }) => percentText(share) },
        data.own && rankColumn("the network", "rank"),
        rankColumn(run.reference, "wordnet_rank"),
      ], shown.pairs),
      data.mistakes?.rows.some((row) => row.image) ? gallery(data.mistakes, run.reference) : ""),
    ];
  }));
  return all.flat();
}

/** Return the most confused pairs of a split at an epoch, computed from the matrices; null if the page does not have the matrix. */
async function confusedPairs(run, names, split, epoch) {
  const { own, reference } = mainMatrices(run);
  const [frame, ownFrame, referenceFrame] = await framesAt(epoch, matrixOf(run, `ccsm-${split}`), own, reference);
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

/** Return the mistakes that are furthest from the true class, as images. */
function gallery(mistakes, reference) {
  const at = mistakes.epoch == null ? "" : ` at epoch ${mistakes.epoch}, the last one with mistakes`;
  const found = mistakes.found.toLocaleString("en");
  const most = mistakes.rows.length === 1 ? "1 mistake" : `${mistakes.rows.length} mistakes`;
  const caption = `The ${most} furthest from the true class${at}, out of ${found}`;
  const ranksOf = (row) => [["network", row.rank], [reference, row.wordnet_rank]].filter(([, rank]) => rank != null)
    .map(([name, rank]) => `${name} ${roundedRank(rank)}`).join(", ");
  const item = (row) => element("li", {},
    row.image ? sampleImage(row) : element("span", { class: "no-image" }, "no image"),
    element("b", {}, row.truth), element("span", {}, `→ ${row.prediction}`), faint(ranksOf(row)));
  const title = `${caption}: the true class, the predicted class and its ranks`;
  return element("figure", {}, element("figcaption", { class: "caption" }, title),
    element("ul", { class: "gallery" }, mistakes.rows.map(item)));
}

const sampleImage = ({ image, sample, truth }) => element("img", { src: image, alt: `sample ${sample}: ${truth}` });

/** Return the name of a group without the suffix of its synset: carnivore for carnivore.n.01. */
const plainSynset = (name) => (name == null ? "–" : name.replace(/\.[^.]*\.\d+$/, "").replaceAll("_", " "));

/** Return the column of a table with the values of one name. */
const column = (title, name) => ({ title, value: (row) => row[name] });

const numberColumn = (title, name, digits = 3) => ({ ...column(title, name), number: true, digits });

/** Return a table of rows. A column is false or {title, value(row)} with the options text(row), node(row), number and digits. */
function dataTable(caption, allColumns, rows) {
  const columns = allColumns.filter(Boolean);
  const cellOf = (row) => (column) =>
    element("td", { class: column.number ? "number" : null }, column.node ? column.node(row) : textOf(column, row));
  const nothing = element("tr", {}, element("td", { colspan: columns.length, class: "faint" }, "no rows"));
  const body = element("tbody", {}, rows.length ? rows.map((row) => element("tr", {}, columns.map(cellOf(row)))) : nothing);
  return element("div", { class: "data-table" },
    element("div", { class: "scroll bounded", tabindex: "0", role: "region", "aria-label": caption },
      element("table", {}, element("caption", {}, caption),
        element("thead", {}, element("tr", {}, columns.map(({ title, number }) => headCell(title, number)))), body)));
}

/** Return a cell of the head of a table. */
const headCell = (content, isNumber) => element("th", { scope: "col", class: isNumber ? "number" : null }, content);

function textOf(column, row) {
  if (column.text) return column.text(row);
  const value = column.value(row);
  if (value == null) return "–";
  return column.number ? formatNumber(value, column.digits) : value;
}
