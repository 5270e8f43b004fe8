// The axis of the heat maps: classes in an order, groups of classes that are folded to one item, and the labels at the edges.

const STRIP = 10;
const EDGE_LABEL = 11;
const NUMBER_ROOM = 20;
const MAX_TOP = 96;
const FOLD_ABOVE = 100;

/** Return the segments of an order: the groups of adjacent classes, and the classes between them, which have no group. */
function segmentsOf(order) {
  const segments = [];
  let next = 0;
  const fill = (end) => { if (next < end) segments.push({ name: null, first: next, last: end - 1 }); };
  for (const [name, first, last] of order.groups) {
    fill(first);
    segments.push({ name, first, last });
    next = last + 1;
  }
  fill(order.order.length);
  const titleOf = ({ name, first, last }) => name ?? (first === last ? null : `${last - first + 1} others`);
  return segments.map((segment) => ({ ...segment, title: titleOf(segment) }));
}

/** Return whether folding the groups of an order makes a matrix much smaller. */
const isFoldable = (order) => order.groups.length > 1 && segmentsOf(order).length <= order.order.length / 2;

/**
 * Return the axis of an order, in which the segments with the indices `folded` are one item each.
 *
 * An item is {name, first, last, segment}, where first and last are positions in the order.
 */
function axisOf(order, names, folded) {
  const segments = segmentsOf(order);
  const items = [];
  segments.forEach(({ title, first, last }, k) => {
    if (folded.has(k) && first < last) items.push({ name: title, first, last, segment: k });
    else for (let p = first; p <= last; p++) items.push({ name: names[order.order[p]], first: p, last: p, segment: k });
  });
  const itemAt = new Uint16Array(order.order.length);
  items.forEach(({ first, last }, item) => itemAt.fill(item, first, last + 1));
  const positions = new Uint16Array(order.order.length);
  order.order.forEach((index, position) => { positions[index] = position; });
  const itemOf = (index) => itemAt[positions[index]];
  const isSingle = (item) => items[item].first === items[item].last;
  return { order: order.order, segments, items, size: items.length, itemOf, isSingle };
}

/** Return the colour of the k-th group; neighbouring numbers have different hues. */
function groupColour(k, isDark = theme() === "dark") {
  if (k < 0) return isDark ? "#45474f" : "#d5d6dc";
  return `oklch(${isDark ? [0.72, 0.58][k % 2] : [0.62, 0.76][k % 2]} 0.13 ${Math.round((k * 137.5) % 360)})`;
}

/** Return the numbers of a run's groups by name, in the first order of the run, and the number of the group of each class. */
function groupsOfRun(run) {
  const names = DATA.classes[run.classes].map(({ group }) => (group == null ? null : plainSynset(group)));
  const shown = new Set(run.orders[0].order.map((index) => names[index]).filter((name) => name != null));
  const numbers = new Map([...shown].map((name, k) => [name, k]));
  return { numbers, of: names.map((name) => numbers.get(name) ?? -1) };
}

/**
 * Return the edges of a map for labels: {left, top}, and which labels are drawn: "names" of classes if there is room, "numbers" of
 * the segments if some are folded, otherwise "none".
 */
function edgesOf(context, axis, width, visible, hasGroups) {
  const strip = hasGroups ? STRIP : 0;
  context.font = "11px system-ui, sans-serif";
  const cell = (width - 100) / visible;
  const isFolded = axis.size < axis.order.length;
  let [mode, room] = isFolded ? ["numbers", NUMBER_ROOM] : ["none", 0];
  if (cell >= (isFolded ? 2 : 1) * EDGE_LABEL) {
    axis.width ??= Math.max(0, ...axis.items.map(({ name }) => context.measureText(name).width));
    [mode, room] = ["names", Math.min(axis.width + 8, 0.34 * width)];
  }
  return { mode, strip, left: strip + 4 + room, top: strip + 4 + Math.min(room, MAX_TOP) };
}

/** Draw the strips of group colours, and the names or numbers of the rows and the columns. */
function drawEdges(context, plot, view, axis, edges, groupOf) {
  const isDark = theme() === "dark";
  const cell = plot / view.size;
  const { left, top, mode, strip } = edges;
  const from = (item, start) => Math.max(0, (item - start) * cell);
  for (const isRow of [true, false]) {
    const start = isRow ? view.y : view.x;
    for (let item = Math.floor(start); item < Math.min(axis.size, start + view.size); item++) {
      context.fillStyle = groupColour(groupOf(axis.order[axis.items[item].first]), isDark);
      const [a, b] = [from(item, start), Math.min(plot, (item + 1 - start) * cell)];
      if (isRow) context.fillRect(left - strip - 2, top + a, strip, b - a + (item + 1 < axis.size ? 0.5 : 0));
      else context.fillRect(left + a, top - strip - 2, b - a + 0.5, strip);
    }
    if (mode === "none") continue;
    const marks = mode === "names" ? axis.items.map(({ name }, k) => [name, k, k + 1])
      : axis.segments.map(({ first, last }, k) => [`${k + 1}`, itemAt(axis, first), itemAt(axis, last) + 1]);
    const step = [1, 2, 5, 10, 20, 50].find((count) => count * cell >= EDGE_LABEL * 0.85) ?? 100;
    marks.forEach(([text, first, end], k) => {
      const [a, b] = [from(first, start), Math.min(plot, (end - start) * cell)];
      if (b - a >= cell * 0.7 && (k + 1) % step === 0) drawName(context, isRow, (a + b) / 2, text, edges);
    });
  }
}

const itemAt = (axis, position) => axis.itemOf(axis.order[position]);

function drawName(context, isRow, middle, name, { left, top, strip }) {
  context.save();
  context.fillStyle = styleColour("--ink");
  if (isRow) context.translate(left - strip - 6, top + middle);
  else {
    context.translate(left + middle, top - strip - 6);
    context.rotate(-Math.PI / 2);
  }
  context.textAlign = isRow ? "right" : "left";
  context.textBaseline = "middle";
  context.fillText(shortened(context, name, (isRow ? left : top) - strip - 8), 0, 0);
  context.restore();
}

/** Return a text that is not wider than a number of pixels; the end of a long text is replaced by an ellipsis. */
function shortened(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let end = Math.min(text.length, 40);
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > width) end--;
  return `${text.slice(0, end)}…`;
}
