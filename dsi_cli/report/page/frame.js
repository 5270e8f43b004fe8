// The frame that every page has: light and dark, and paper.

const themeFollowers = [];

/** Return light or dark: what the reader chose, else what the system says. */
function theme() {
  return document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

/** Call a function after each change between light and dark: a canvas does not follow the style sheet by itself. */
function whenThemeChanges(follow) {
  themeFollowers.push(follow);
}

/** Choose light or dark; without either, follow the system. */
function setTheme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  byId("theme").textContent = theme() === "dark" ? "Light" : "Dark";
  themeFollowers.forEach((follow) => follow());
}

let chosenBeforePrint = null;
byId("theme").textContent = theme() === "dark" ? "Light" : "Dark";
byId("theme").addEventListener("click", () => setTheme(theme() === "dark" ? "light" : "dark"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(document.documentElement.dataset.theme));
addEventListener("beforeprint", () => {
  chosenBeforePrint = document.documentElement.dataset.theme;
  setTheme("light");
});
addEventListener("afterprint", () => setTheme(chosenBeforePrint));
