// Differences of two matrices: network − WordNet, mistakes − network, epoch A − epoch B, and run A − run B.
//
// A difference is {key, title, about, more, less, plus, minus}. Each side is {run, matrix, epoch}; epoch null is the shown epoch.

/** Return the differences that a run offers. */
function differencesOf(run, runIndex) {
  const own = ownMatrix(run);
  const reference = referenceMatrix(run);
  const mistakes = mistakeMatrix(run);
  const side = (matrix, epoch = null, of = run) => ({ run: of, matrix, epoch });
  const result = [];
  const add = (key, title, plus, minus, more, less) => result.push({ key, title, plus, minus, more, less });
  if (own && reference) add("reference", `network − ${run.reference}`, side(own), side(reference), "nearer in the network", `nearer in ${run.reference}`);
  if (own && mistakes) add("mistakes", "mistakes − network", side(mistakes), side(own), "more confused", "nearer in the network");
  if (own) {
    for (const epoch of own.epochs) {
      if (own.epochs.length > 1) add(`epoch-${epoch}`, `this epoch − epoch ${epoch}`, side(own), side(own, epoch), "nearer at this epoch", `nearer at epoch ${epoch}`);
    }
    DATA.runs.forEach((other, k) => {
      const matrix = ownMatrix(other);
      if (k === runIndex || other.classes !== run.classes || matrix?.name !== own.name) return;
      add(`run-${other.name}`, `this run − ${other.name}`, side(own), side(matrix, null, other), "nearer in this run", `nearer in ${other.name}`);
    });
  }
  return result;
}

/** Return the similarity matrix of a run's network, or undefined. */
function ownMatrix(run) {
  return run.near && run.matrices.find(({ name }) => name === run.near.of);
}

function referenceMatrix(run) {
  return run.matrices.find(({ name }) => name === "scsm");
}

/** Return the first confusion matrix of a run, or undefined. */
function mistakeMatrix(run) {
  return run.matrices.find(({ symmetric }) => !symmetric);
}

/** Return the layer of a difference of percentiles (`layerOf`) at an epoch, or null if one of its matrices does not exist. */
async function differenceLayer(difference, epoch, order) {
  const sides = await Promise.all([difference.plus, difference.minus].map(async (side) => {
    const frame = await frameOf(side.matrix, side.epoch ?? epoch, order);
    return frame && { frame, at: layerOf(side.matrix, frame, order.order, "rank") };
  }));
  if (sides.includes(null)) return null;
  // If one matrix has only means of blocks, the means of the same blocks are taken from the other one.
  const starts = sides.map(({ frame }) => frame.starts).find(Boolean);
  const [plus, minus] = sides.map(({ frame, at }) => (starts && !frame.starts ? blockLayer(at, starts, order.order.length) : at));
  return { at: (p, q) => plus(p, q) - minus(p, q), symmetric: difference.plus.matrix.symmetric && difference.minus.matrix.symmetric, starts };
}
