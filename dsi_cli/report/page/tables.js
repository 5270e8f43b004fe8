// Tables: sorted by a click on a heading, filtered by a text, long ones begun with a part.

const FIRST_ROWS = 200;

/** Return a table. A column is {title, value(row), text(row), node(row), number, style}; what it lacks follows from the others. */
function dataTable(caption, columns, rows, { filter = null, first = FIRST_ROWS } = {}) {
  const sorting = { column: null, isFalling: false };
  let wanted = "";
  let all = false;
  const body = element("tbody");
  const count = element("span", { class: "faint", role: "status" });
  const more = element("button", { type: "button", onclick: () => { all = true; fill(); } });
  const heads = columns.map((column) => heading(column));
  const table = element("table", {}, element("caption", {}, caption), element("thead", {}, element("tr", {}, heads)), body);
  const search = filter && element("input", { type: "search", placeholder: filter, "aria-label": filter,
    oninput: (event) => { wanted = event.target.value.trim().toLowerCase(); fill(); } });
  const node = element("div", { class: "data-table" },
    filter ? element("div", { class: "controls" }, search, count) : null,
    element("div", { class: "scroll bounded", tabindex: "0", role: "region", "aria-label": caption }, table), more);

  function heading(column) {
    const button = element("button", { type: "button", class: "sort", onclick: () => sortBy(column) }, column.title);
    return element("th", { scope: "col", class: column.number ? "number" : null }, button);
  }

  function sortBy(column) {
    sorting.isFalling = sorting.column === column ? !sorting.isFalling : Boolean(column.number);
    sorting.column = column;
    heads.forEach((head, k) => head.setAttribute("aria-sort", columns[k] !== column ? "none" : sorting.isFalling ? "descending" : "ascending"));
    fill();
  }

  function fill() {
    let found = rows;
    if (wanted) found = found.filter((row) => columns.some((column) => String(textOf(column, row)).toLowerCase().includes(wanted)));
    if (sorting.column) found = [...found].sort((a, b) => compared(sorting.column.value(a), sorting.column.value(b), sorting.isFalling));
    const shownRows = all ? found : found.slice(0, first);
    count.textContent = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
    more.hidden = shownRows.length === found.length;
    more.textContent = `Show all ${found.length.toLocaleString("en")}`;
    if (!found.length) return body.replaceChildren(element("tr", {}, element("td", { colspan: columns.length, class: "faint" }, "none")));
    body.replaceChildren(...shownRows.map((row) => element("tr", {}, columns.map((column) => cell(column, row)))));
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
  return value == null ? "–" : column.number ? shown(value, column.digits ?? 3) : value;
}

/** Compare two values, those that do not exist last. */
function compared(a, b, isFalling) {
  if (a == null || b == null) return (a == null) - (b == null);
  const order = typeof a === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  return isFalling ? -order : order;
}
