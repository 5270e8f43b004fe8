// Frames: the values of one matrix, packed by `matrix_codec.py`, unpacked when they are first shown, and ranked.
//
// A frame is {codes, scale, side}: one code per pair of classes, and the scale of the codes. Code 0 is a missing value. If `side`
// is not null, the codes are means of side × side blocks of neighbouring classes in one order.

const MAX_CACHED_FRAMES = 40;
const packedLines = new Map();
const frames = new Map();
const rankTables = new WeakMap();

/** Return one line of a packed element. These elements follow this script, so callers first await `pageIsLoaded`. */
function packedLine(name, lineIndex) {
  if (!packedLines.has(name)) {
    const script = [...document.querySelectorAll("script.packed")].find((node) => node.dataset.name === name);
    packedLines.set(name, script.textContent.split("\n"));
  }
  return packedLines.get(name)[lineIndex];
}

/** Return the codes of a packed line: bytes, or 16-bit numbers if the scale has more than 255 levels. */
async function unpack(name, lineIndex, levels) {
  const key = `${name}/${lineIndex}`;
  if (frames.has(key)) return cacheFrame(key, frames.get(key));
  await pageIsLoaded;
  const bytes = Uint8Array.from(atob(packedLine(name, lineIndex)), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  if (levels <= 255) return cacheFrame(key, planes);
  const half = planes.length / 2;
  const codes = new Uint16Array(half);
  for (let k = 0; k < half; k++) codes[k] = planes[k] | (planes[half + k] << 8);
  return cacheFrame(key, codes);
}

/** Keep a frame in the cache, and drop the frame that was not used for the longest time if the cache is full. */
function cacheFrame(key, codes) {
  frames.delete(key);
  frames.set(key, codes);
  if (frames.size > MAX_CACHED_FRAMES) frames.delete(frames.keys().next().value);
  return codes;
}

const pageIsLoaded = new Promise((resolve) => {
  if (document.readyState !== "loading") resolve();
  else document.addEventListener("DOMContentLoaded", resolve);
});

/** Return the index in a frame of the value in row i and column j; the frame has no diagonal. */
function frameIndex(matrix, size, i, j) {
  if (!matrix.symmetric) return i * (size - 1) + (j > i ? j - 1 : j);
  const [a, b] = i < j ? [i, j] : [j, i];
  return (a * (2 * size - a - 1)) / 2 + (b - a - 1);
}

/** Return the value of a code, or null if the value is missing. */
function valueOf(scale, code) {
  return code === 0 ? null : scale.low + (code - 1) * scale.step;
}

/** Return the data of a matrix at an epoch: the complete matrix, the means of blocks, or null. */
async function frameOf(matrix, epoch, order) {
  const index = matrix.epochs ? matrix.epochs.indexOf(epoch) : 0;
  if (index >= 0) return { codes: await unpack(matrix.lines, index, matrix.levels), scale: matrix, side: null };
  const blocks = matrix.blocks;
  const blockIndex = blocks ? blocks.epochs.indexOf(epoch) : -1;
  if (blockIndex < 0) return null;
  const line = blockIndex * blocks.orders.length + blocks.orders.indexOf(order.name);
  return { codes: await unpack(blocks.lines, line, blocks.levels), scale: blocks, side: blocks.side };
}

/**
 * Return the ranks of the pairs in a frame: `pairs`, the number of pairs with a value; `percentile`, for each code the share of pairs
 * with a smaller value, where pairs with an equal value count half; and `above`, the number of pairs with a greater value.
 */
function ranksOf({ codes, scale }) {
  if (rankTables.has(codes)) return rankTables.get(codes);
  const counts = new Uint32Array(scale.levels + 1);
  for (let k = 0; k < codes.length; k++) counts[codes[k]]++;
  const pairs = codes.length - counts[0];
  const percentile = new Float32Array(scale.levels + 1).fill(NaN);
  const above = new Uint32Array(scale.levels + 1);
  let below = 0;
  for (let code = 1; code <= scale.levels; code++) {
    percentile[code] = (below + counts[code] / 2) / pairs;
    below += counts[code];
    above[code] = pairs - below;
  }
  const ranks = { pairs, percentile, above, counts };
  rankTables.set(codes, ranks);
  return ranks;
}

/**
 * Return one shade per code of a frame: 0 for white, 1 for the darkest colour, negative numbers for the opposite colour.
 *
 * On the scale "rank", the lower half of the pairs is white. On the scale "raw", the shade follows the value, or its square
 * root in a confusion matrix; values with both signs have 0 in the middle.
 */
function shadesOf(matrix, frame, scale) {
  const shades = new Float32Array(frame.scale.levels + 1).fill(NaN);
  if (scale === "rank") {
    const { percentile } = ranksOf(frame);
    for (let code = 1; code < shades.length; code++) shades[code] = rankShade(percentile[code]);
    return shades;
  }
  for (let code = 1; code < shades.length; code++) shades[code] = rawShade(matrix, valueOf(frame.scale, code));
  return shades;
}

/** Return the shade of a percentile; the lower half is white. */
function rankShade(percentile) {
  return Math.max(0, 2 * percentile - 1);
}

/** Return the shade of a value between the ends of the colours of its matrix. */
function rawShade(matrix, value) {
  const [from, to] = matrix.shown;
  if (from < 0) return Math.max(-1, Math.min(1, value / to));
  const fraction = Math.max(0, Math.min(1, (value - from) / (to - from || 1)));
  return matrix.symmetric ? fraction : Math.sqrt(fraction);
}
