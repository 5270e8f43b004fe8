// The search field for classes, and the keys of the page.

const KEYS = [
  ["/", "find a class"],
  [", and .", "previous and next epoch"],
  ["r", "colours by rank or by raw value"],
  ["f", "fold or unfold the groups of classes"],
  ["Arrow keys, Enter", "in a matrix: move to another cell, and open its pair"],
  ["+, −, 0", "in a matrix: zoom in, zoom out, show all classes"],
  ["?", "show these keys"],
];

/** Return the class that a text means: equal, otherwise the first that begins with it or contains it; −1 if there is none. */
function findClass(names, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return -1;
  const lower = names.map((name) => String(name).toLowerCase());
  const tests = [(name) => name === wanted, (name) => name.startsWith(wanted), (name) => name.includes(wanted)];
  return tests.map((test) => lower.findIndex(test)).find((index) => index >= 0) ?? -1;
}

/** Let the search field of the page call `choose(index)` with a class; `names()` are the classes that can be found. */
function classSearch(names, choose) {
  const field = byId("search");
  field.addEventListener("focus", () => byId("class-names").replaceChildren(...names().map((name) => element("option", { value: name }))));
  field.addEventListener("input", () => field.setCustomValidity(""));
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") field.blur();
    if (event.key !== "Enter") return;
    const index = findClass(names(), field.value);
    if (index < 0) {
      field.setCustomValidity("No class has this name.");
      field.reportValidity();
      return;
    }
    field.value = "";
    field.blur();
    choose(index);
  });
}

/** Let keys without a field in focus call the functions of `actions` by key. */
function pageKeys(actions) {
  const dialog = element("dialog", { class: "keys", "aria-label": "Keys" }, element("h2", {}, "Keys"),
    element("table", {}, element("tbody", {}, KEYS.map(([key, use]) => element("tr", {}, element("th", { scope: "row" }, element("kbd", {}, key)), element("td", {}, use))))),
    element("form", { method: "dialog" }, element("button", {}, "Close")));
  document.body.append(dialog);
  const help = () => dialog.showModal();
  byId("show-keys").addEventListener("click", help);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog.open || event.target.closest("input:not([type=range]), select, textarea")) return;
    const action = { ...actions, "?": help, "/": () => byId("search").focus() }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
