// What stands at the sides of a heat map: names of classes where there is room, else of groups with brackets, else of some classes.

const GUTTER = { left: 92, top: 64 };

/** Draw the names at the sides: of all classes in view where there is room, else of the groups, else of some classes. */
function drawSides(context, plot, view, order, names) {
  const style = getComputedStyle(document.body);
  const cell = plot / view.size;
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = style.getPropertyValue("--ink");
  context.strokeStyle = style.getPropertyValue("--faint");
  const { groups } = order;
  const inGroups = cell < 11 && groups.length > 0;
  const marks = inGroups ? groups.map(([name, first, last]) => ({ name, from: first, to: last + 1 })) : classMarks(order, names, cell);
  for (const isRow of [true, false]) {
    const start = isRow ? view.y : view.x;
    let free = -Infinity;
    for (const mark of marks) {
      const from = Math.max(0, (mark.from - start) * cell);
      const to = Math.min(plot, (mark.to - start) * cell);
      if (to <= from) continue;
      const middle = (from + to) / 2;
      if (inGroups) bracket(context, isRow, from, to);
      if (middle - free < 12) continue;
      sideName(context, isRow, middle, mark.name, inGroups ? 12 : 4);
      free = middle;
    }
  }
}

function classMarks(order, names, cell) {
  const step = Math.max(1, Math.ceil(13 / cell));
  return order.order.map((index, at) => ({ name: names[index], from: at, to: at + 1 })).filter((_, at) => at % step === 0);
}

function bracket(context, isRow, from, to) {
  const edge = (isRow ? GUTTER.left : GUTTER.top) - 4;
  const side = isRow ? GUTTER.top : GUTTER.left;
  context.beginPath();
  for (const [depth, along] of [[edge, from + 1], [edge - 4, from + 1], [edge - 4, to - 1], [edge, to - 1]]) {
    if (isRow) context.lineTo(depth, side + along);
    else context.lineTo(side + along, depth);
  }
  context.stroke();
}

function sideName(context, isRow, middle, name, gap) {
  const room = (isRow ? GUTTER.left : GUTTER.top) - gap - 4;
  const text = fitting(context, name, room);
  context.save();
  if (isRow) context.translate(GUTTER.left - gap, GUTTER.top + middle);
  else {
    context.translate(GUTTER.left + middle, GUTTER.top - gap);
    context.rotate(-Math.PI / 2);
  }
  context.textAlign = isRow ? "right" : "left";
  context.textBaseline = "middle";
  context.fillText(text, 0, 0);
  context.restore();
}

/** Return text that is no wider than a room, its end cut off where it must. */
function fitting(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let end = Math.min(text.length, 40);
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > room) end--;
  return `${text.slice(0, end)}…`;
}
