// Matrices as pixels: what colour a value has, in light and in dark.

const VIRIDIS = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
const DIVERGING = {
  light: ["#053061", "#2166ac", "#4393c3", "#92c5de", "#f7f7f7", "#f4a582", "#d6604d", "#b2182b", "#67001f"],
  dark: ["#a6d8ff", "#5aa9e6", "#2f77b8", "#1d4470", "#16181c", "#6b2a20", "#b4472f", "#ea7a50", "#ffc9a3"],
};

/** Return colours as packed pixels, one for each code of a matrix; code 0 is a missing value. */
function colourTable(matrix, scale, theme) {
  const [from, to] = matrix.shown;
  const stops = (from < 0 && to > 0 ? DIVERGING[theme] : VIRIDIS).map(rgb);
  const table = new Uint32Array(scale.levels + 1);
  for (let code = 1; code <= scale.levels; code++) {
    const share = (scale.low + (code - 1) * scale.step - from) / (to - from || 1);
    table[code] = pixel(mixed(stops, Math.min(1, Math.max(0, share))));
  }
  table[0] = pixel(theme === "dark" ? [70, 70, 76] : [205, 205, 210]);
  return table;
}

function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

function mixed(stops, share) {
  const place = share * (stops.length - 1);
  const k = Math.min(stops.length - 2, Math.floor(place));
  return stops[k].map((one, channel) => Math.round(one + (stops[k + 1][channel] - one) * (place - k)));
}

function pixel([red, green, blue]) {
  return (255 << 24) | (blue << 16) | (green << 8) | red;
}

/** Return a canvas with a pixel a cell: of a whole matrix in an order, or of blocks, which have theirs already. */
function picture(matrix, frame, order, theme) {
  const size = frame.side || order.order.length;
  const canvas = element("canvas", { width: size, height: size });
  const context = canvas.getContext("2d");
  const image = context.createImageData(size, size);
  const pixels = new Uint32Array(image.data.buffer);
  const table = colourTable(matrix, frame.scale, theme);
  if (frame.side) frame.codes.forEach((code, k) => { pixels[k] = table[code]; });
  else fillWhole(pixels, matrix, frame.codes, order.order, table, pixel(theme === "dark" ? [38, 39, 44] : [212, 212, 219]));
  context.putImageData(image, 0, 0);
  return canvas;
}

function fillWhole(pixels, matrix, codes, order, table, diagonal) {
  const size = order.length;
  const place = new Uint32Array(size);
  order.forEach((index, at) => { place[index] = at; });
  let k = 0;
  for (let i = 0; i < size; i++) {
    const row = place[i] * size;
    pixels[row + place[i]] = diagonal;
    for (let j = matrix.symmetric ? i + 1 : 0; j < size; j++) {
      if (j === i) continue;
      const colour = table[codes[k++]];
      pixels[row + place[j]] = colour;
      if (matrix.symmetric) pixels[place[j] * size + place[i]] = colour;
    }
  }
}
