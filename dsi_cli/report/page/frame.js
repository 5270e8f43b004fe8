// Code of every page: the light and dark themes, and printing.

const themeCallbacks = [];

/** Return the theme, light or dark: the choice of the reader if there is one, otherwise the setting of the system. */
function theme() {
  return document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

/** Call a function after each change of the theme, because a canvas does not follow the style sheet. */
function whenThemeChanges(callback) {
  themeCallbacks.push(callback);
}

/** Set the theme, light or dark, or follow the system if no name is given. */
function setTheme(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  byId("theme").textContent = theme() === "dark" ? "Light" : "Dark";
  themeCallbacks.forEach((callback) => callback());
}

let themeBeforePrint = null;
byId("theme").textContent = theme() === "dark" ? "Light" : "Dark";
byId("theme").addEventListener("click", () => setTheme(theme() === "dark" ? "light" : "dark"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(document.documentElement.dataset.theme));
addEventListener("beforeprint", () => {
  themeBeforePrint = document.documentElement.dataset.theme;
  setTheme("light");
});
addEventListener("afterprint", () => setTheme(themeBeforePrint));
