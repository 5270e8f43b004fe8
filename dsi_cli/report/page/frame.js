// Code of every page: the light and dark themes, and printing.

const THEME_KEY = "dsi-theme";
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

/** Return the remembered theme, or null; a browser may forbid pages to remember anything. */
function rememberedTheme() {
  try {
    const name = localStorage.getItem(THEME_KEY);
    return ["light", "dark"].includes(name) ? name : null;
  } catch {
    return null;
  }
}

function rememberTheme(name) {
  try {
    localStorage.setItem(THEME_KEY, name);
  } catch {
    // The theme is not remembered.
  }
}

let themeBeforePrint = null;
if (rememberedTheme()) document.documentElement.dataset.theme = rememberedTheme();
byId("theme").textContent = theme() === "dark" ? "Light" : "Dark";
byId("theme").addEventListener("click", () => {
  setTheme(theme() === "dark" ? "light" : "dark");
  rememberTheme(theme());
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(document.documentElement.dataset.theme));
addEventListener("beforeprint", () => {
  themeBeforePrint = document.documentElement.dataset.theme;
  setTheme("light");
});
addEventListener("afterprint", () => setTheme(themeBeforePrint));
