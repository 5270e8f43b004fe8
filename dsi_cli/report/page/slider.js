// One matrix over the epochs, the reference beside it: a slider, the order of classes, a pointer.

const [run] = DATA.runs;
const slider = byId("epoch");
const maps = heatMaps(run, namesOf(run), { tell, chosen: () => {} });
const state = { epoch: null, order: run.orders[0] };

function setEpoch(epoch) {
  const at = run.epochs.indexOf(epoch);
  state.epoch = epoch;
  slider.value = at;
  const shown = run.has_epochs ? epoch : "–";
  slider.setAttribute("aria-valuetext", `epoch ${shown}`);
  byId("epoch-number").textContent = shown;
  byId("epoch-facts").textContent = DATA.facts[at];
  return maps.show(epoch, state.order, theme());
}

function setOrder(name) {
  state.order = run.orders.find((one) => one.name === name);
  return setEpoch(state.epoch);
}

byId("maps").dataset.count = maps.node.length;
if (maps.node.length === 1) byId("maps").style.maxWidth = "28rem"; // as high as the frame allows
byId("maps").replaceChildren(...maps.node);
byId("matrix-controls").replaceChildren(choice("Order", run.orders.map((one) => [one.name, one.title]), state.order.name, setOrder));
byId("play").addEventListener("click", player(byId("play"), () => run.epochs, () => state.epoch, setEpoch));
slider.max = run.epochs.length - 1;
slider.addEventListener("input", () => setEpoch(run.epochs[Number(slider.value)]));
whenThemeChanges(() => maps.paint(theme()));
addEventListener("resize", () => maps.draw());
setEpoch(run.epochs.at(-1));
