// Matrices as pixels: colour tables for the light and the dark theme, and canvases of matrices.

const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
const DIVERGING = {
  light: ["#053061", "#2166ac", "#4393c3", "#92c5de", "#f7f7f7", "#f4a582", "#d6604d", "#b2182b", "#67001f"],
  dark: ["#a6d8ff", "#5aa9e6", "#2f77b8", "#1d4470", "#16181c", "#6b2a20", "#b4472f", "#ea7a50", "#ffc9a3"],
};

/** Return one colour per code of a matrix as packed pixels; code 0 is a missing value. */
function colourTable(matrix, scale, theme) {
  const [from, to] = matrix.shown;
  const stops = (from < 0 && to > 0 ? DIVERGING[theme] : VIRIDIS).map(rgb);
  const table = new Uint32Array(scale.levels + 1);
  for (let code = 1; code <= scale.levels; code++) {
    const fraction = (scale.low + (code - 1) * scale.step - from) / (to - from || 1);
    table[code] = pixel(interpolate(stops, Math.min(1, Math.max(0, fraction))));
  }
  table[0] = pixel(theme === "dark" ? [70, 70, 76] : [205, 205, 210]);
  return table;
}

function rgb(hex) {
  return [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
}

/** Return the colour at a fraction between 0 and 1 of the way through some colours. */
function interpolate(stops, fraction) {
  const position = fraction * (stops.length - 1);
  const k = Math.min(stops.length - 2, Math.floor(position));
  return stops[k].map((value, channel) => Math.round(value + (stops[k + 1][channel] - value) * (position - k)));
}

function pixel([red, green, blue]) {
  return (255 << 24) | (blue << 16) | (green << 8) | red;
}

/** Return a canvas with one pixel per cell: a complete matrix in the given order of classes, or block means, which are in order already. */
function picture(matrix, frame, order, theme) {
  const size = frame.side || order.order.length;
  const canvas = element("canvas", { width: size, height: size });
  const context = canvas.getContext("2d");
  const image = context.createImageData(size, size);
  const pixels = new Uint32Array(image.data.buffer);
  const table = colourTable(matrix, frame.scale, theme);
  if (frame.side) frame.codes.forEach((code, k) => { pixels[k] = table[code]; });
  else fillMatrix(pixels, matrix, frame.codes, order.order, table, pixel(theme === "dark" ? [38, 39, 44] : [212, 212, 219]));
  context.putImageData(image, 0, 0);
  return canvas;
}

function fillMatrix(pixels, matrix, codes, order, table, diagonal) {
  const size = order.length;
  const positions = new Uint32Array(size);
  order.forEach((index, position) => { positions[index] = position; });
  let k = 0;
  for (let i = 0; i < size; i++) {
    const row = positions[i] * size;
    pixels[row + positions[i]] = diagonal;
    for (let j = matrix.symmetric ? i + 1 : 0; j < size; j++) {
      if (j === i) continue;
      const colour = table[codes[k++]];
      pixels[row + positions[j]] = colour;
      if (matrix.symmetric) pixels[positions[j] * size + positions[i]] = colour;
    }
  }
}
