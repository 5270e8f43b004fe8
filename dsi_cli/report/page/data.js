// The data of the page: the JSON document, and packed matrices, which are unpacked when they are first shown.

const DATA = JSON.parse(byId("data").textContent);
const MAX_CACHED_FRAMES = 40;

const packedLines = new Map();
const frames = new Map();

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

/** Return a value as text, with the digits that the precision of its scale allows. */
function formatValue(value, scale) {
  if (value == null) return "no value";
  const error = scale.step / 2;
  if (error < 2e-5) return formatNumber(value, 4);
  return `${formatNumber(value, Math.max(1, Math.ceil(-Math.log10(error))))} ± ${errorOf(scale)}`;
}

/** Return the maximum rounding error of a scale, rounded up to one digit. */
function errorOf(scale) {
  const error = (scale.step / 2) * 1.05;
  const digit = Math.floor(Math.log10(error));
  const up = Math.ceil(error / 10 ** digit - 1e-9);
  return up === 10 ? String(Number(`1e${digit + 1}`)) : String(Number(`${up}e${digit}`));
}

/** Return the names of a run's classes, by class index. */
function namesOf(run) {
  return DATA.classes[run.classes].map((row, index) => (row[0] == null ? `class ${index}` : row[0]));
}
