// The state of the page in the fragment of its address, so that a link shows the same view.
//
// A fragment is run=NAME&epoch=7&class=NAME&order=NAME&scale=rank&difference=KEY. Two classes are a pair.

const WRITE_DELAY = 250;
let writeTimer = null;

/** Return the state in the fragment of the address: {run, epoch, classes, order, scale, difference}; fields that are missing are null. */
function readFragment() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const epoch = fragment.get("epoch");
  return { run: fragment.get("run"), epoch: epoch == null ? null : Number(epoch), classes: fragment.getAll("class"), order: fragment.get("order"), scale: fragment.get("scale"), difference: fragment.get("difference") };
}

/** Write the state to the address after a short time without other changes. */
function writeFragment(stateNow) {
  clearTimeout(writeTimer);
  writeTimer = setTimeout(() => {
    const { run, epoch, names, classes, order, scale, difference } = stateNow();
    const fragment = new URLSearchParams({ run, epoch, order, scale });
    if (difference) fragment.set("difference", difference);
    classes.forEach((index) => fragment.append("class", classKey(names, index)));
    try {
      history.replaceState(null, "", `#${fragment}`);
    } catch {
      // Some frames do not allow a page to change its address.
    }
  }, WRITE_DELAY);
}

/** Return the text for a class in the address: its name, or its index if other classes have the same name. */
function classKey(names, index) {
  return names.filter((name) => name === names[index]).length === 1 ? names[index] : `#${index}`;
}

/** Return the class of a text in the address, or −1. */
function classOfKey(names, key) {
  const index = names.indexOf(key);
  if (index >= 0) return index;
  const number = /^#(\d+)$/.exec(key);
  return number && Number(number[1]) < names.length ? Number(number[1]) : -1;
}
