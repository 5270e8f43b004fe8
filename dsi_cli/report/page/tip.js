// The tooltip of the heat maps.

/** Show the values of a cell in a tooltip next to the pointer, or, for the keyboard, in the line below the matrices. */
function showReading(reading, event = null) {
  const tip = byId("tip");
  const lines = reading ? [`${reading.row} × ${reading.column}`, ...reading.values.map((value) => `${value.title} ${value.text}`)] : [];
  tip.hidden = !reading || !event;
  byId("matrix-readout").textContent = reading && !event ? lines.join(" · ") : "";
  if (tip.hidden) return;
  tip.replaceChildren(element("b", {}, lines[0]), ...reading.values.map((value) => element("div", {}, element("span", {}, value.title), element("span", {}, value.text))));
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  const right = event.clientX + 16 + width > document.documentElement.clientWidth;
  tip.style.left = `${Math.max(4, right ? event.clientX - width - 16 : event.clientX + 16)}px`;
  tip.style.top = `${Math.max(4, Math.min(innerHeight - height - 4, event.clientY + 16))}px`;
}
