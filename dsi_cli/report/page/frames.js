// Frames: the values of one matrix, packed by `matrix_codec.py`, unpacked when they are first shown, and ranked.
//
// A frame is {codes, scale}: one code per pair of classes, and the scale of the codes. Code 0 is a missing value.

const frames = new Map();
const rankTables = new WeakMap();

/** The lines of each packed element by its name. These elements follow this script, so they are read once the page is loaded. */
const packedLines = new Promise((resolve) => { document.addEventListener("DOMContentLoaded", resolve); })
  .then(() => [...document.querySelectorAll("script.packed")].map((node) => [node.dataset.name, node.textContent.split("\n")]))
  .then((entries) => new Map(entries));

/** Return the codes of a packed line: bytes, or 16-bit numbers if the scale has more than 255 levels. */
async function unpack(name, lineIndex, levels) {
  const key = `${name}/${lineIndex}`;
  if (!frames.has(key)) frames.set(key, await inflate(name, lineIndex, levels));
  return frames.get(key);
}

async function inflate(name, lineIndex, levels) {
  const text = atob((await packedLines).get(name)[lineIndex]);
  const bytes = new Uint8Array(text.length);
  for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k); // several times faster than Uint8Array.from
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  if (levels <= 255) return planes;
  const half = planes.length / 2;
  const codes = new Uint16Array(half);
  for (let k = 0; k < half; k++) codes[k] = planes[k] | (planes[half + k] << 8);
  return codes;
}

/** Return the index in a frame of the value in row i and column j; the frame has no diagonal. */
function frameIndex(matrix, size, i, j) {
  if (!matrix.symmetric) return i * (size - 1) + (j > i ? j - 1 : j);
  const [a, b] = i < j ? [i, j] : [j, i];
  return (a * (2 * size - a - 1)) / 2 + (b - a - 1);
}

/** Return the value of a code, or null if the value is missing. */
const valueOf = (scale, code) => (code === 0 ? null : scale.low + (code - 1) * scale.step);

/** Return the frame of a matrix at an epoch, or null if the page does not contain it; a reference has one frame for all epochs. */
async function frameOf(matrix, epoch) {
  const index = matrix?.epochs ? matrix.epochs.indexOf(epoch) : 0;
  if (!matrix || index < 0) return null;
  return { codes: await unpack(matrix.lines, index, matrix.levels), scale: matrix };
}

/** Return the frames of some matrices at an epoch. */
const framesAt = (epoch, ...matrices) => Promise.all(matrices.map((matrix) => frameOf(matrix, epoch)));

/**
 * Return the ranks of the pairs in a frame: `pairs`, the number of pairs with a value; `percentile`, for each code the share of
 * pairs with a smaller value, where pairs with an equal value count half; and `counts`, for each code the number of pairs.
 */
function ranksOf({ codes, scale }) {
  if (rankTables.has(codes)) return rankTables.get(codes);
  const counts = new Uint32Array(scale.levels + 1);
  for (let k = 0; k < codes.length; k++) counts[codes[k]]++;
  const pairs = codes.length - counts[0];
  counts[0] = 0;
  let below = 0;
  const percentile = Float32Array.from(counts, (count) => {
    below += count;
    return (below - count / 2) / pairs;
  });
  percentile[0] = NaN;
  const ranks = { pairs, percentile, counts };
  rankTables.set(codes, ranks);
  return ranks;
}

/** Return the rank of a percentile among some pairs; rank 1 is the most similar pair, and equal values share their mean rank. */
function rankAt(percentile, pairs) {
  return Math.round((1 - percentile) * pairs + 0.51); // a percentile has 32 bits, so half a rank may be slightly less
}

/** Return the rank of a code in a frame as text, as in "17 of 4,950" or "34 (tied) of 99". */
function rankText(frame, code) {
  const { percentile, counts, pairs } = ranksOf(frame);
  const tied = counts[code] > 1 ? " (tied)" : "";
  return `${rankAt(percentile[code], pairs).toLocaleString("en")}${tied} of ${pairs.toLocaleString("en")}`;
}

/** Return a function (p, q) -> percentile of the classes at two positions of an order, NaN if it is missing or p is q. */
function layerOf(matrix, frame, order) {
  const { percentile } = ranksOf(frame);
  return (p, q) => (p === q ? NaN : percentile[frame.codes[frameIndex(matrix, order.length, order[p], order[q])]]);
}

/** Return the shade of a percentile; the lower half is white. */
const rankShade = (percentile) => Math.max(0, 2 * percentile - 1);

/** Return a value as text, with the digits that the precision of its scale allows. */
function formatValue(value, scale) {
  if (value == null) return "no value";
  const error = scale.step / 2;
  if (error < 2e-5) return formatNumber(value, 4);
  return `${formatNumber(value, Math.max(1, Math.ceil(-Math.log10(error))))} ± ${errorOf(scale)}`;
}

/** Return the maximum rounding error of a scale, rounded up to one digit. */
function errorOf(scale) {
  return ((scale.step / 2) * 1.05).toLocaleString("en", { maximumSignificantDigits: 1, roundingMode: "ceil" });
}

/** Return the names of a run's classes, by class index. */
const namesOf = (run) => DATA.classes[run.classes].map(({ name }, index) => name ?? `class ${index}`);
