// Frames: the values of one matrix, packed by `matrix_codec.py`, unpacked when they are first shown, and ranked.
//
// A frame is {codes, scale, starts}: one code per pair of classes, and the scale of the codes. Code 0 is a missing value.
// If `starts` is not null, the codes are means of blocks of classes, which begin at these positions in one order of classes, and
// `rankCodes` are means of their percentiles.

const MAX_CACHED_FRAMES = 40;
const RANK_BINS = 65535;
const frames = new Map();
const rankTables = new WeakMap();

/** The lines of each packed element by its name. These elements follow this script, so they are read once the page is loaded. */
const packedLines = new Promise((resolve) => { document.addEventListener("DOMContentLoaded", resolve); })
  .then(() => [...document.querySelectorAll("script.packed")].map((node) => [node.dataset.name, node.textContent.split("\n")]))
  .then((entries) => new Map(entries));

/** Return the codes of a packed line: bytes, or 16-bit numbers if the scale has more than 255 levels. */
async function unpack(name, lineIndex, levels) {
  const key = `${name}/${lineIndex}`;
  const codes = frames.get(key) ?? await inflate(name, lineIndex, levels);
  // The cache drops the frame that was not used for the longest time.
  frames.delete(key);
  frames.set(key, codes);
  if (frames.size > MAX_CACHED_FRAMES) frames.delete(frames.keys().next().value);
  return codes;
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

/** Return the frame of a matrix at an epoch: complete, as block means in an order of classes, or null. */
async function frameOf(matrix, epoch, order) {
  const index = matrix.epochs ? matrix.epochs.indexOf(epoch) : 0;
  if (index >= 0) return { codes: await unpack(matrix.lines, index, matrix.levels), scale: matrix, starts: null };
  const blocks = matrix.blocks;
  const blockIndex = blocks ? blocks.epochs.indexOf(epoch) : -1;
  if (blockIndex < 0) return null;
  const k = blocks.orders.indexOf(order.name);
  const codes = await unpack(blocks.lines, blockIndex * blocks.orders.length + k, blocks.levels);
  const half = codes.length / 2;
  return { codes: codes.subarray(0, half), rankCodes: codes.subarray(half), scale: blocks, starts: blocks.starts[k] };
}

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
  const percentile = percentilesOf(counts, pairs);
  percentile[0] = NaN;
  const ranks = { pairs, percentile, counts };
  rankTables.set(codes, ranks);
  return ranks;
}

/** Return for each code the share of smaller values from the number of values with each code; equal values count half. */
function percentilesOf(counts, total) {
  let below = 0;
  return Float32Array.from(counts, (count) => {
    below += count;
    return (below - count / 2) / total;
  });
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

/**
 * Return a function (p, q) -> value of the classes at two positions of an order, NaN if it is missing or p is q.
 *
 * On the scale "rank", the value is the percentile of the pair. On the scale "raw", it is the value of the matrix.
 */
function layerOf(matrix, frame, order, scale) {
  const isRank = scale === "rank";
  const { levels } = frame.scale;
  const valuesBy = (scaled) => Float32Array.from({ length: levels + 1 }, (_, code) => (code === 0 ? NaN : scaled(code)));
  const rawValue = (code) => valueOf(frame.scale, code);
  if (frame.starts) {
    const { starts } = frame;
    const codes = isRank ? frame.rankCodes : frame.codes;
    const values = valuesBy(isRank ? (code) => (code - 1) / (levels - 1) : rawValue);
    const blockOf = blocksOf(starts, order.length);
    return (p, q) => (p === q ? NaN : values[codes[blockOf[p] * starts.length + blockOf[q]]]);
  }
  const values = isRank ? ranksOf(frame).percentile : valuesBy(rawValue);
  const size = order.length;
  const { codes } = frame;
  return (p, q) => (p === q ? NaN : values[codes[frameIndex(matrix, size, order[p], order[q])]]);
}

/** Return the block of each position. */
function blocksOf(starts, size) {
  const blockOf = new Uint16Array(size);
  starts.forEach((start, block) => blockOf.fill(block, start));
  return blockOf;
}

/** Return a layer with the means of blocks of another layer. */
function blockLayer(at, starts, size) {
  const items = starts.map((first, k) => ({ first, last: (starts[k + 1] ?? size) - 1 }));
  const means = gridOf(at, items, false);
  const blockOf = blocksOf(starts, size);
  return (p, q) => (p === q ? NaN : means[blockOf[p] * items.length + blockOf[q]]);
}

/** Return the means of a layer in the cells of a grid, row by row. An item of the grid is a range {first, last} of positions. */
function gridOf(at, items, symmetric) {
  const size = items.length;
  const grid = new Float32Array(size * size);
  for (let row = 0; row < size; row++) {
    for (let column = symmetric ? row : 0; column < size; column++) {
      const mean = meanOf(at, items[row], items[column]);
      grid[row * size + column] = mean;
      if (symmetric) grid[column * size + row] = mean;
    }
  }
  return grid;
}

/** Return the percentiles of the values of a grid, which are between 0 and 1; equal values share the middle of their ranks. */
function rankedGrid(grid) {
  const counts = new Uint32Array(RANK_BINS + 1);
  const binOf = (value) => Math.round(value * RANK_BINS);
  const known = grid.filter((value) => !Number.isNaN(value));
  known.forEach((value) => { counts[binOf(value)]++; });
  const percentile = percentilesOf(counts, known.length);
  return grid.map((value) => percentile[binOf(value)] ?? NaN);
}

/** Return the mean of a layer in a cell, NaN if the cell has no values. */
function meanOf(at, row, column) {
  if (row.first === row.last && column.first === column.last) return at(row.first, column.first);
  let sum = 0;
  let count = 0;
  for (let p = row.first; p <= row.last; p++) {
    for (let q = column.first; q <= column.last; q++) {
      const value = at(p, q);
      if (value === value) { // not NaN
        sum += value;
        count++;
      }
    }
  }
  return count ? sum / count : NaN;
}

/** Return the shade of a percentile; the lower half is white. */
const rankShade = (percentile) => Math.max(0, 2 * percentile - 1);

/**
 * Return the shade of a value between the ends of the colours of its matrix: from 0, white, to 1, or from -1 to 1 if values have
 * both signs. In a confusion matrix, the shade follows the square root of the value.
 */
function rawShade(matrix, value) {
  const [from, to] = matrix.shown;
  if (from < 0) return Math.max(-1, Math.min(1, value / to));
  const fraction = Math.max(0, Math.min(1, (value - from) / (to - from || 1)));
  return matrix.symmetric ? fraction : Math.sqrt(fraction);
}

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
