// What is under the pointer, in words.

/** Say what is under the pointer: beside it, or, from the keyboard, in the line below the matrices. */
function tell(reading, event = null) {
  const tip = byId("tip");
  const text = reading ? [`${reading.row} × ${reading.column}`, ...reading.values.map((one) => `${one.title} ${one.text}`)] : [];
  tip.hidden = !reading || !event;
  byId("matrix-readout").textContent = reading && !event ? text.join(" · ") : "";
  if (tip.hidden) return;
  tip.replaceChildren(element("b", {}, text[0]), ...reading.values.map((one) => element("div", {}, element("span", {}, one.title), element("span", {}, one.text))));
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  const right = event.clientX + 16 + width > document.documentElement.clientWidth;
  tip.style.left = `${Math.max(4, right ? event.clientX - width - 16 : event.clientX + 16)}px`;
  tip.style.top = `${Math.max(4, Math.min(innerHeight - height - 4, event.clientY + 16))}px`;
}
