// What the page was given: the JSON document, and matrices that are unpacked when they are first looked at.

const DATA = JSON.parse(byId("data").textContent);
const KEPT_FRAMES = 40;

const packedLines = new Map();
const frames = new Map();

/** Return line `at` of a packed element; they stand behind this script, so the whole page is waited for. */
function packedLine(name, at) {
  if (!packedLines.has(name)) {
    const found = [...document.querySelectorAll("script.packed")].find((node) => node.dataset.name === name);
    packedLines.set(name, found.textContent.split("\n"));
  }
  return packedLines.get(name)[at];
}

/** Return the codes of a packed line: bytes, or 16-bit numbers where the scale has more levels. */
async function unpacked(name, at, levels) {
  const key = `${name}/${at}`;
  if (frames.has(key)) return remembered(key, frames.get(key));
  await pageIsWhole;
  const bytes = Uint8Array.from(atob(packedLine(name, at)), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  if (levels <= 255) return remembered(key, planes);
  const half = planes.length / 2;
  const codes = new Uint16Array(half);
  for (let k = 0; k < half; k++) codes[k] = planes[k] | (planes[half + k] << 8);
  return remembered(key, codes);
}

/** Keep what was used last, and forget what was not used for longest. */
function remembered(key, codes) {
  frames.delete(key);
  frames.set(key, codes);
  if (frames.size > KEPT_FRAMES) frames.delete(frames.keys().next().value);
  return codes;
}

const pageIsWhole = new Promise((done) => {
  if (document.readyState !== "loading") done();
  else document.addEventListener("DOMContentLoaded", done);
});

/** Return where the value of row i and column j stands in a frame; the diagonal has none. */
function frameIndex(matrix, size, i, j) {
  if (!matrix.symmetric) return i * (size - 1) + (j > i ? j - 1 : j);
  const [a, b] = i < j ? [i, j] : [j, i];
  return (a * (2 * size - a - 1)) / 2 + (b - a - 1);
}

/** Return the value of a code, null for a missing one. */
function valueOf(scale, code) {
  return code === 0 ? null : scale.low + (code - 1) * scale.step;
}

/** Return a value as text, to the digits that its scale allows. */
function scaled(value, scale) {
  if (value == null) return "none";
  const error = scale.step / 2;
  if (error < 2e-5) return shown(value, 4);
  return `${shown(value, Math.max(1, Math.ceil(-Math.log10(error))))} ± ${errorOf(scale)}`;
}

/** Return how far a value of a scale may be off, rounded up to one digit. */
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
