// The labels of a heat map: all class names if they fit, otherwise the groups with brackets, otherwise every n-th class name.

const GUTTER = { left: 92, top: 64 };

/** Draw the labels of the rows and columns in view. */
function drawLabels(context, plot, view, order, names) {
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
    let lastMiddle = -Infinity;
    for (const mark of marks) {
      const from = Math.max(0, (mark.from - start) * cell);
      const to = Math.min(plot, (mark.to - start) * cell);
      if (to <= from) continue;
      const middle = (from + to) / 2;
      if (inGroups) drawBracket(context, isRow, from, to);
      if (middle - lastMiddle < 12) continue;
      drawName(context, isRow, middle, mark.name, inGroups ? 12 : 4);
      lastMiddle = middle;
    }
  }
}

function classMarks(order, names, cell) {
  const step = Math.max(1, Math.ceil(13 / cell));
  return order.order.map((index, position) => ({ name: names[index], from: position, to: position + 1 })).filter((_, position) => position % step === 0);
}

function drawBracket(context, isRow, from, to) {
  const edge = (isRow ? GUTTER.left : GUTTER.top) - 4;
  const side = isRow ? GUTTER.top : GUTTER.left;
  context.beginPath();
  for (const [depth, along] of [[edge, from + 1], [edge - 4, from + 1], [edge - 4, to - 1], [edge, to - 1]]) {
    if (isRow) context.lineTo(depth, side + along);
    else context.lineTo(side + along, depth);
  }
  context.stroke();
}

function drawName(context, isRow, middle, name, gap) {
  const room = (isRow ? GUTTER.left : GUTTER.top) - gap - 4;
  const text = truncate(context, name, room);
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

/** Return a text that is not wider than a number of pixels; the end of a long text is replaced by an ellipsis. */
function truncate(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let end = Math.min(text.length, 40);
  while (end > 1 && context.measureText(`${text.slice(0, end)}…`).width > width) end--;
  return `${text.slice(0, end)}…`;
}
