// Matrices as pixels. One palette serves all matrices: from the colour of the page to violet in even steps of lightness.
// Values below 0, and differences below 0, go to orange in the same steps.

const PALETTE = {
  light: {
    more: ["#ffffff", "#e5def9", "#cbbfec", "#b2a1dd", "#9983cd", "#8266bc", "#6b48aa", "#562797", "#41007e"],
    less: ["#ffffff", "#f7e1d7", "#eac4b3", "#dca991", "#cc8e71", "#bb7350", "#a9582f", "#963e01", "#762f01"],
    missing: "#b4b4bb", diagonal: "#e2e2e6",
  },
  dark: {
    more: ["#161616", "#2c2736", "#433a54", "#5c4f74", "#756594", "#907cb4", "#ab93d6", "#c7acf8", "#decefe"],
    less: ["#161616", "#34271c", "#513a26", "#6f4f32", "#8e6540", "#ad7c4f", "#ce935f", "#efac70", "#ffcca0"],
    missing: "#55565e", diagonal: "#303138",
  },
};
const SHADES = 255;
const pixelTables = {};

/** Return the packed pixels of the theme: `diagonal`, and `of(shade)` for a shade from -1 to 1, where NaN is a missing value. */
function pixelsOf(name = theme()) {
  if (pixelTables[name]) return pixelTables[name];
  const { more, less, missing, diagonal } = PALETTE[name];
  const table = new Uint32Array(2 * SHADES + 1);
  for (let k = 0; k <= SHADES; k++) {
    table[SHADES + k] = pixel(interpolate(more, k / SHADES));
    table[SHADES - k] = pixel(interpolate(less, k / SHADES));
  }
  const missingPixel = pixel(rgb(missing));
  const of = (shade) => (Number.isNaN(shade) ? missingPixel : table[SHADES + Math.round(shade * SHADES)]);
  pixelTables[name] = { of, diagonal: pixel(rgb(diagonal)) };
  return pixelTables[name];
}

const rgb = (hex) => [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));

/** Return the colour at a fraction between 0 and 1 of the way through some colours. */
function interpolate(stops, fraction) {
  const position = fraction * (stops.length - 1);
  const k = Math.min(stops.length - 2, Math.floor(position));
  const [from, to] = [rgb(stops[k]), rgb(stops[k + 1])];
  return from.map((value, channel) => Math.round(value + (to[channel] - value) * (position - k)));
}

const pixel = ([red, green, blue]) => (255 << 24) | (blue << 16) | (green << 8) | red;

/** Return a canvas of some width and height, where `pixelAt(k)` is the k-th pixel. */
function pixelCanvas(width, height, pixelAt) {
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  new Uint32Array(image.data.buffer).forEach((_, k, pixels) => { pixels[k] = pixelAt(k); });
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Return a canvas with one pixel per cell of a layer (see `layerOf`). */
function layerPicture(layer, size) {
  const { of, diagonal } = pixelsOf();
  return pixelCanvas(size, size, (k) => {
    if (k % (size + 1) === 0) return diagonal;
    const value = layer(Math.floor(k / size), k % size);
    return of(Number.isNaN(value) ? NaN : rankShade(value));
  });
}

/** Return a canvas with one pixel per pair of classes at an epoch, coloured by rank, or null if the matrix is not on the page. */
async function thumbnail(matrix, epoch, order) {
  const frame = await frameOf(matrix, epoch);
  return frame && layerPicture(layerOf(matrix, frame, order), order.length);
}

/**
 * Return, for each of some classes, its name and its row in the network and below in the reference, coloured by rank, at the last
 * epoch on the page. Marks above show the columns of all these classes.
 */
async function rowPictures(run, names, classes) {
  const { own, reference } = mainMatrices(run);
  const { order } = run.orders[0];
  const matrices = [own, reference].filter(Boolean);
  const frames = await framesAt(run.whole.at(-1), ...matrices);
  if (!own || frames.includes(null)) return [];
  const layers = matrices.map((matrix, k) => layerOf(matrix, frames[k], order));
  const { of, diagonal } = pixelsOf();
  const positions = classes.map((index) => order.indexOf(index));
  return positions.map((row, k) => {
    const rows = [order.map((_, column) => of(positions.includes(column) ? 1 : 0)),
      ...layers.map((at) => order.map((_, column) => (column === row ? diagonal : of(rankShade(at(row, column))))))];
    const pixels = rows.flat();
    const canvas = pixelCanvas(order.length, rows.length, (at) => pixels[at]);
    describeMatrix(canvas, `Row of ${names[classes[k]]} in the network and in ${run.reference}`);
    canvas.className = "strip";
    return element("div", { class: "strip-row" }, faint(names[classes[k]]), canvas);
  });
}

/** Give a canvas the look of a small matrix, and a description for screen readers. */
function describeMatrix(canvas, text) {
  canvas.className = "thumbnail";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", text);
}

/**
 * Return a function that draws matrices of `side` classes as figures in a container, in the current theme. A matrix is
 * {title, shade, from, ends}, where `shade(k)` is the shade of the k-th value, and `from` and `ends` are the first shade and the
 * texts of the colour bar. `read(row, column)` is called for a pointer on a cell.
 */
function matrixFigures(container, side, matrices, read) {
  const point = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const place = (offset, length) => Math.min(side - 1, Math.max(0, Math.floor((offset / length) * side)));
    read(place(event.clientY - box.top, box.height), place(event.clientX - box.left, box.width));
  };
  return () => {
    const { of, diagonal } = pixelsOf();
    container.replaceChildren(...matrices.map(({ title, shade, from, ends }) => {
      const canvas = pixelCanvas(side, side, (k) => (k % (side + 1) === 0 ? diagonal : of(shade(k))));
      describeMatrix(canvas, `Heat map of all pairs of classes: ${title}`);
      canvas.addEventListener("pointermove", point);
      return element("figure", { class: "heat" }, figureTitle(title), canvas, colourBar(from),
        colourEnds(ends));
    }));
  };
}

/** Return the texts below a colour bar, from left to right. */
const colourEnds = (texts) => element("div", { class: "ends" }, texts.map((text) => element("span", {}, text)));

/** Return a canvas with the colours from a shade to 1, from left to right and one pixel high. */
function colourBar(from = 0) {
  const { of } = pixelsOf();
  const bar = pixelCanvas(256, 1, (k) => of(from + ((1 - from) * k) / 255));
  bar.className = "bar";
  return bar;
}
