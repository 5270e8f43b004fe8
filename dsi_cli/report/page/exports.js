// Downloads of charts as SVG and of charts and matrices as CSV. Both pages use this file.

const STYLE_PROPERTIES = [
  "fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "stroke-linecap", "opacity", "fill-opacity",
  "paint-order", "font-size", "font-family", "font-weight", "text-anchor",
];

/** Return a menu of downloads; the functions `svg` (returns an SVG element) and `csv` (returns rows of values) are optional. */
function exportMenu(name, { svg, csv }) {
  const stem = name.normalize("NFKD").replace(/[^\w.+-]+/g, "-").replace(/^-+|-+$/g, "").toLowerCase() || "chart";
  const button = (title, type, make) => element("button", { type: "button", class: "link", "aria-label": `${title} of ${name}`,
    onclick: () => {
      const url = URL.createObjectURL(new Blob([make()], { type }));
      element("a", { href: url, download: `${stem}.${title.toLowerCase()}` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    } }, title);
  return element("span", { class: "exports" },
    svg ? button("SVG", "image/svg+xml", () => svgText(svg())) : null,
    csv ? button("CSV", "text/csv", () => csvText(csv())) : null);
}

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
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
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
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  copy.prepend(svgElement("rect", { width, height, fill: getComputedStyle(document.body).backgroundColor }));
  // XML has no control characters, which may be in the name of a run.
  return new XMLSerializer().serializeToString(copy).replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, "\ufffd");
}

/** Return the rows of a chart of curves: one row per epoch, and columns for each line's value, chance level and interval. */
function curveRows({ lines }) {
  const epochs = [...new Set(lines.flatMap((line) => line.epochs))].sort((a, b) => a - b);
  const columns = lines.flatMap((line) => ["value", "chance", "low", "high"].filter((key) => line[key])
    .map((key) => ({ title: key === "value" ? line.label : `${line.label} ${key}`, epochs: line.epochs, values: line[key] })));
  const rows = epochs.map((epoch) => [epoch, ...columns.map((column) => column.values[column.epochs.indexOf(epoch)])]);
  return [["epoch", ...columns.map(({ title }) => title)], ...rows];
}
