// Plays the epochs one after another, at most 12 seconds in total.

/** Return the click handler of the play button. It plays from the current epoch, restarts at the end, or pauses. */
function player(button, epochs, current, setEpoch) {
  let timer = null;
  const setButton = (symbol, name) => { button.textContent = symbol; button.setAttribute("aria-label", name); };
  const stop = () => { clearInterval(timer); timer = null; setButton("▶", "Play"); };
  const step = () => {
    const next = epochs()[epochs().indexOf(current()) + 1];
    if (next == null) stop();
    else setEpoch(next);
  };
  return () => {
    if (timer) return stop();
    if (current() === epochs().at(-1)) setEpoch(epochs()[0]);
    setButton("❚❚", "Pause");
    timer = setInterval(step, Math.max(120, Math.min(500, 12000 / epochs().length)));
  };
}
