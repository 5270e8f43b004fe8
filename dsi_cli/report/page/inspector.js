// The panel next to the matrices, a sheet at the bottom of a small screen: one pair of classes, or one class with its neighbours.

const MAX_CONFUSIONS = 5;
const MAX_NEIGHBOURS = 10;
const MAX_PAIRS = 20;

/** Return the neighbours of every class and the closest pairs at an epoch, with the scale of their values, or null. */
async function nearestAt(run, epoch) {
  const size = DATA.classes[run.classes].length;
  const { own } = mainMatrices(run);
  const frame = await frameOf(own, epoch);
  if (!frame || size < 2) return null;
  const codeOf = (i, j) => (i === j ? 0 : frame.codes[frameIndex(own, size, i, j)]);
  const neighbours = (index) => namesOf(run).map((_, other) => ({ other, code: codeOf(index, other) }));
  const highest = (rows, count) => rows.filter(({ code }) => code).sort((a, b) => b.code - a.code).slice(0, count)
    .map((row) => ({ ...row, value: valueOf(own, row.code) }));
  const pairs = highestPairs(size, (k) => frame.codes[k], MAX_PAIRS).map((pair) => ({ ...pair, code: pair.value }));
  return { scale: own, neighbours: (index) => highest(neighbours(index), MAX_NEIGHBOURS), pairs: highest(pairs, MAX_PAIRS) };
}

/** Return the title of an epoch of a run, which may have no epoch numbers. */
const epochTitle = (run, epoch) => `epoch ${run.has_epochs ? epoch : "–"}`;

/** Return the rank of a class among the neighbours of another one in a matrix, from 1; equal values share their mean rank. */
function neighbourRank(matrix, frame, size, i, j) {
  const code = frame.codes[frameIndex(matrix, size, i, j)];
  if (!code) return null;
  let twice = 1;
  for (let k = 0; k < size; k++) {
    const other = k === i ? 0 : frame.codes[frameIndex(matrix, size, i, k)];
    if (other >= code) twice += other > code ? 2 : 1;
  }
  return twice / 2;
}

/** Return the number of samples of class i that were predicted as class j, its share and the number of samples, or null. */
function confusion(run, frame, size, i, j) {
  const samples = frame && DATA.classes[run.classes][i][frame.scale.name === "ccsm-train" ? "samples_train" : "samples_test"];
  const share = frame && valueOf(frame.scale, frame.codes[frameIndex(frame.scale, size, i, j)]);
  return share == null ? null : { share, samples, count: samples == null ? null : Math.round(share * samples) };
}

function confusionText({ share, samples, count }) {
  return count == null ? percentText(share) : `${count} of ${samples} (${percentText(share)})`;
}

const percentText = (share) => `${(100 * share).toFixed(1)} %`;

/** Return the elements that describe a pair of classes at an epoch. */
async function pairPanel(run, names, i, j, epoch, actions) {
  const size = names.length;
  const { own, reference, mistakes } = mainMatrices(run);
  const [ownFrame, referenceFrame, mistakeFrame] = await framesAt(epoch, own, reference, mistakes);
  const rows = [[own, ownFrame], [reference, referenceFrame]].filter(([matrix]) => matrix);
  const [there, back] = [confusion(run, mistakeFrame, size, i, j), confusion(run, mistakeFrame, size, j, i)];
  const codeIn = (frame) => frame?.codes[frameIndex(frame.scale, size, i, j)];
  const percentiles = rows.map(([, frame]) => frame).filter(codeIn).map((frame) => ranksOf(frame).percentile[codeIn(frame)]);
  const heads = ["", "similarity", "rank of all pairs"].map((title, k) => headCell(title, k > 0));
  return [
    element("h3", {}, linkButton(names[i], () => actions.open(i)), " – ", linkButton(names[j], () => actions.open(j))),
    verdictOf(percentiles, run.reference),
    element("table", { class: "ranks" },
      element("thead", {}, element("tr", {}, heads)),
      element("tbody", {}, rows.map(([matrix, frame]) => rankRow(matrix, frame, size, i, j)))),
    there && element("p", { class: "confusions" },
      `${names[i]} predicted as ${names[j]}: ${confusionText(there)}.`, element("br"),
      `${names[j]} predicted as ${names[i]}: ${confusionText(back)}.`),
  ];
}

function rankRow(matrix, frame, size, i, j) {
  const title = element("th", { scope: "row" }, matrix.title);
  const code = frame?.codes[frameIndex(matrix, size, i, j)];
  const missing = frame ? "no value" : "not in this page at this epoch";
  if (!code) return element("tr", {}, title, element("td", { colspan: 2, class: "faint" }, missing));
  return element("tr", {}, title, element("td", { class: "number" }, formatValue(valueOf(matrix, code), matrix)),
    element("td", { class: "number" }, rankText(frame, code)));
}

/** Return a sentence on the percentiles of a pair in the network and the reference. */
function verdictOf([network, reference], referenceName) {
  if (network == null || reference == null) return null;
  const [a, b] = [network, reference].map((percentile) => {
    if (percentile >= 0.9) return "near";
    return percentile < 0.5 ? "far" : "neither near nor far";
  });
  const text = `${a[0].toUpperCase()}${a.slice(1)} in the network${a === b ? " and" : `, ${b}`} in ${referenceName}.`;
  const style = [a, b].sort().join() === "far,near" ? "surprise" : "faint";
  return element("p", { class: style, title: "near: among the 10 % most similar pairs; far: in the less similar half" }, text);
}

/** Return the elements that describe a class at an epoch. */
async function classPanel(run, names, index, epoch, actions) {
  const { reference, mistakes } = mainMatrices(run);
  const [referenceFrame, mistakeFrame] = await framesAt(epoch, reference, mistakes);
  const near = await nearestAt(run, epoch);
  const { synset, definition, confidence, group } = DATA.classes[run.classes][index];
  const doubt = synset && confidence != null && confidence < DATA.uncertain;
  const described = [synset, definition, group && `group ${plainSynset(group)}`,
    doubt && `uncertain, confidence ${confidence.toFixed(2)} from 0 to 1`].filter(Boolean).join("; ");
  const openClass = ({ other }) => linkButton(names[other], () => actions.open(other));
  const openPair = ({ other, value }) => linkButton(formatValue(value, near.scale), () => actions.open(index, other));
  const rankOf = (other) => referenceFrame && neighbourRank(reference, referenceFrame, names.length, index, other);
  const rows = near?.neighbours(index).map((row, k) => ({ ...row, rank: k + 1, referenceRank: rankOf(row.other) }));
  return [
    element("h3", {}, names[index]),
    described ? faint(described, "p") : null,
    near ? dataTable(`Nearest classes to ${names[index]} at ${epochTitle(run, epoch)}`, [
      numberColumn("rank", "rank", 0),
      { title: "class", value: ({ other }) => names[other], node: openClass },
      { ...numberColumn("similarity", "value"), node: openPair },
      referenceFrame && rankColumn(run.reference, "referenceRank"),
    ], rows) : element("p", {}, "The network has no class similarity matrix at this epoch."),
    confusionList(run, names, mistakeFrame, index, actions),
  ];
}

/** Return the classes that a class is most often confused with, in both directions, or null. */
function confusionList(run, names, frame, index, actions) {
  if (!frame) return null;
  const all = names.map((_, other) => other).filter((other) => other !== index);
  const list = (title, pairOf) => {
    const rows = all.map((other) => ({ other, ...confusion(run, frame, names.length, ...pairOf(other)) }))
      .filter(({ share }) => share > 0).sort((a, b) => b.share - a.share || a.other - b.other);
    const shown = rows.slice(0, MAX_CONFUSIONS).flatMap(({ other, count, share }, k) =>
      [k ? ", " : "", linkButton(names[other], () => actions.open(other)), " ",
        linkButton(count ?? percentText(share), () => actions.open(index, other))]);
    const more = rows.length > MAX_CONFUSIONS ? `, and ${rows.length - MAX_CONFUSIONS} more` : "";
    return element("p", {}, `${title}: `, ...(shown.length ? shown : ["no other class"]), more, ".");
  };
  return element("div", { class: "confusions" },
    list(`${names[index]} was predicted as`, (other) => [index, other]),
    list(`Predicted as ${names[index]}`, (other) => [other, index]));
}
