// The data of the report as a JSON document, and values as text.

const DATA = JSON.parse(byId("data").textContent);

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
