// The epochs one after another, at a pace that takes 12 seconds at most.

/** Return what a button does: play from here, from the start at the end, or pause; `go` is called with each epoch. */
function player(button, epochs, current, go) {
  let playing = null;
  const tell = (sign, name) => { button.textContent = sign; button.setAttribute("aria-label", name); };
  const stop = () => { clearInterval(playing); playing = null; tell("▶", "Play"); };
  const step = () => {
    const next = epochs()[epochs().indexOf(current()) + 1];
    if (next == null) stop();
    else go(next);
  };
  return () => {
    if (playing) return stop();
    if (current() === epochs().at(-1)) go(epochs()[0]);
    tell("❚❚", "Pause");
    playing = setInterval(step, Math.max(120, Math.min(500, 12000 / epochs().length)));
  };
}
