// Tables that can be sorted by a click on a heading and filtered by a text. Long tables show their first rows only, and columns
// with the same text in every row are left out of tables that ask for it.

const FIRST_ROWS = 200;

/** Return a table. A column is {title, value(row), text(row), node(row), number, style}; only title and value are required. */
function dataTable(caption, allColumns, rows, { filter = null, first = FIRST_ROWS, hidesConstants = false } = {}) {
  const isConstant = (column) => hidesConstants && rows.length > 3 && rows.every((row) => textOf(column, row) === textOf(column, rows[0]));
  const columns = allColumns.filter((column) => !isConstant(column));
  const constants = allColumns.filter((column) => isConstant(column) && String(textOf(column, rows[0])).trim() && textOf(column, rows[0]) !== "–");
  const sorting = { column: null, isFalling: false };
  let filterText = "";
  let showAll = false;
  const body = element("tbody");
  const count = element("span", { class: "faint", role: "status" });
  const more = element("button", { type: "button", onclick: () => { showAll = true; fill(); } });
  const heads = columns.map((column) => heading(column));
  const table = element("table", {}, element("caption", {}, caption, constants.map((column) => element("span", { class: "faint" }, `; ${column.title}: ${textOf(column, rows[0])} for all`))), element("thead", {}, element("tr", {}, heads)), body);
  const search = filter && element("input", { type: "search", placeholder: filter, "aria-label": filter,
    oninput: (event) => { filterText = event.target.value.trim().toLowerCase(); fill(); } });
  const node = element("div", { class: "data-table" },
    filter ? element("div", { class: "controls" }, search, count) : null,
    element("div", { class: "scroll bounded", tabindex: "0", role: "region", "aria-label": caption }, table), more);

  function heading(column) {
    const button = column.title ? element("button", { type: "button", class: "sort", onclick: () => sortBy(column) }, column.title) : null;
    return element("th", { scope: "col", class: column.number ? "number" : null }, button);
  }

  function sortBy(column) {
    sorting.isFalling = sorting.column === column ? !sorting.isFalling : Boolean(column.number);
    sorting.column = column;
    heads.forEach((head, k) => head.setAttribute("aria-sort", columns[k] !== column ? "none" : sorting.isFalling ? "descending" : "ascending"));
    fill();
  }

  function fill() {
    let matching = rows;
    if (filterText) matching = matching.filter((row) => columns.some((column) => String(textOf(column, row)).toLowerCase().includes(filterText)));
    if (sorting.column) matching = [...matching].sort((a, b) => compareValues(sorting.column.value(a), sorting.column.value(b), sorting.isFalling));
    const visibleRows = showAll ? matching : matching.slice(0, first);
    count.textContent = `${matching.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
    more.hidden = visibleRows.length === matching.length;
    more.textContent = `Show all ${matching.length.toLocaleString("en")} rows`;
    if (!matching.length) return body.replaceChildren(element("tr", {}, element("td", { colspan: columns.length, class: "faint" }, "no matching rows")));
    body.replaceChildren(...visibleRows.map((row) => element("tr", {}, columns.map((column) => cell(column, row)))));
  }

  function cell(column, row) {
    const content = column.node ? column.node(row) : textOf(column, row);
    return element("td", { class: column.number ? "number" : column.style }, content);
  }

  fill();
  return node;
}

function textOf(column, row) {
  if (column.text) return column.text(row);
  const value = column.value(row);
  return value == null ? "–" : column.number ? formatNumber(value, column.digits ?? 3) : value;
}

/** Compare two values for sorting; missing values come last. */
function compareValues(a, b, isFalling) {
  if (a == null || b == null) return (a == null) - (b == null);
  const order = typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return isFalling ? -order : order;
}
