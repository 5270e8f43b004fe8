// Downloads of charts and matrices as PNG, SVG and CSV. Both pages use this file.

const EXPORT_RATIO = 2;
const STYLE_PROPERTIES = [
  "fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "stroke-linecap", "opacity", "fill-opacity",
  "stroke-opacity", "font-size", "font-family", "font-weight", "text-anchor", "dominant-baseline",
];

/**
 * Return a menu of downloads. Some of the functions `canvas` (returns a canvas), `svg` (returns an SVG element) and `csv` (returns
 * rows of values) are given; each may return a promise.
 */
function exportMenu(name, { canvas, svg, csv }) {
  const stem = name.normalize("NFKD").replace(/[^\w.+-]+/g, "-").replace(/^-+|-+$/g, "").toLowerCase() || "chart";
  const button = (title, make) => element("button", { type: "button", class: "link", "aria-label": `${title} of ${name}`,
    onclick: async () => {
      const url = URL.createObjectURL(await make());
      element("a", { href: url, download: `${stem}.${title.toLowerCase()}` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    } }, title);
  return element("span", { class: "exports" },
    canvas ? button("PNG", async () => pngOf(await canvas())) : null,
    svg ? button("PNG", async () => pngOf(await svgCanvas(await svg()))) : null,
    svg ? button("SVG", async () => new Blob([svgText(await svg())], { type: "image/svg+xml" })) : null,
    csv ? button("CSV", async () => new Blob([csvText(await csv())], { type: "text/csv" })) : null);
}

const pngOf = (canvas) => new Promise((resolve) => canvas.toBlob(resolve, "image/png"));

/**
 * Return rows as CSV: missing values are empty, and texts with separators or quotation marks are quoted. An apostrophe is in front
 * of a text that a spreadsheet would run as a formula.
 */
function csvText(rows) {
  const cell = (value) => {
    if (value == null || Number.isNaN(value)) return "";
    const isFormula = typeof value === "string" && /^[=+\-@\t\r\n]/.test(value) && Number.isNaN(Number(value));
    const text = isFormula ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return `${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
}

/** Return an SVG element as a document that does not need the style sheet of the page. */
function svgText(svg) {
  const copy = svg.cloneNode(true);
  const [sources, targets] = [svg, copy].map((node) => [node, ...node.querySelectorAll("*")]);
  sources.forEach((source, k) => {
    const style = getComputedStyle(source);
    targets[k].removeAttribute("class");
    for (const property of STYLE_PROPERTIES) targets[k].setAttribute(property, style.getPropertyValue(property));
  });
  const { width, height } = svg.getBoundingClientRect();
  const [, , viewWidth, viewHeight] = (svg.getAttribute("viewBox") || `0 0 ${width} ${height}`).split(" ").map(Number);
  copy.setAttribute("width", viewWidth);
  copy.setAttribute("height", viewHeight);
  const paper = svgElement("rect", { width: viewWidth, height: viewHeight, fill: getComputedStyle(document.body).backgroundColor });
  copy.prepend(paper);
  // XML has no control characters, which may be in the name of a run.
  return new XMLSerializer().serializeToString(copy).replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, "\ufffd");
}

/** Return a canvas with the picture of an SVG element. */
async function svgCanvas(svg) {
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([svgText(svg)], { type: "image/svg+xml" }));
  await image.decode();
  const canvas = element("canvas", { width: image.naturalWidth * EXPORT_RATIO, height: image.naturalHeight * EXPORT_RATIO });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  return canvas;
}

/** Return the rows of a chart of curves: one row per epoch, and columns for each line's value, chance level and interval. */
function curveRows({ lines, along }) {
  const epochs = [...new Set(lines.flatMap((line) => line.epochs))].sort((a, b) => a - b);
  const columns = lines.flatMap((line) => ["value", "chance", "low", "high"].filter((key) => line[key])
    .map((key) => ({ title: key === "value" ? line.label : `${line.label} ${key}`, epochs: line.epochs,
      values: (key === "value" && line.exported) || line[key] })));
  const rows = epochs.map((epoch) => [epoch, ...columns.map((column) => column.values[column.epochs.indexOf(epoch)])]);
  return [[along || "epoch", ...columns.map(({ title }) => title)], ...rows];
}
