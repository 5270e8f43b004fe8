// Code of every page: elements, numbers and data, the light and dark themes, and printing. Strings become text nodes, never markup,
// because labels come from untrusted files.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element with attributes and children; a child that is not a node becomes text. */
const element = (tag, attributes = {}, ...children) => fillNode(document.createElement(tag), attributes, children);

/** Return an SVG element with attributes and children. */
function svgElement(tag, attributes = {}, ...children) {
  return fillNode(document.createElementNS(SVG, tag), attributes, children);
}

function fillNode(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child != null));
  return node;
}

/** Return a text in a weaker colour. */
const faint = (text, tag = "span") => element(tag, { class: "faint" }, text);

/** Return the caption of a figure: its title, and notes in a weaker colour. */
function figureTitle(title, ...notes) {
  return element("figcaption", {}, element("h3", {}, title), notes.map((note) => faint(note)));
}

/** Return a button that looks like a link. */
const linkButton = (text, onclick) => element("button", { type: "button", class: "link", onclick }, text);

const byId = (id) => document.getElementById(id);

/** Return a number as text: three decimals by default, large whole numbers without decimals, a dash if it is missing. */
function formatNumber(value, digits = 3) {
  if (value == null || Number.isNaN(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) >= 100) return value.toLocaleString("en");
  if (value !== 0 && Math.abs(value) < 0.5 * 10 ** -digits) return value.toExponential(1).replace(/-/g, "−");
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
  const text = value.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : text.replace("-", "−");
}

/** Return about `count` round numbers between two ends, for ticks. */
function ticks(low, high, count) {
  const raw = (high - low) / Math.max(1, count);
  const unit = 10 ** Math.floor(Math.log10(raw || 1));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * unit).find((candidate) => candidate >= raw * 0.999) || unit;
  const values = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) values.push(Number((k * step).toPrecision(12)));
  return values;
}

/** Return the number that is nearest to a target. */
function nearestTo(target, numbers) {
  return numbers.reduce((best, number) => (Math.abs(number - target) < Math.abs(best - target) ? number : best));
}

/** Return the number of decimals that distinguishes the multiples of a step. */
function decimals(step) {
  let digits = 0;
  while (digits < 6 && Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6) digits++;
  return digits;
}

/** Return a labelled drop-down list; `onChange` receives the selected value. */
function choice(label, options, selected, onChange) {
  const id = `choice-${label.toLowerCase().replace(/\W+/g, "-")}`;
  const select = element("select", { id, onchange: () => onChange(select.value) },
    options.map(([value, text]) => element("option", { value, selected: value === selected }, text)));
  return element("span", { class: "choice" }, element("label", { for: id }, label), select);
}

const DATA = JSON.parse(byId("data").textContent);
const systemTheme = matchMedia("(prefers-color-scheme: dark)");

/** Return the theme of the system, light or dark. */
const theme = () => (systemTheme.matches ? "dark" : "light");

/** Return a colour of the style sheet for a canvas, which does not know its names. */
const styleColour = (name) => getComputedStyle(document.body).getPropertyValue(name);

systemTheme.addEventListener("change", () => dispatchEvent(new Event("themechange"))); // each canvas is drawn again
