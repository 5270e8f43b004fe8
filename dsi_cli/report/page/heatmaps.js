// Heat maps of all matrices of a run at one epoch. They share the order of classes, the visible part and the pointer.

const MIN_VISIBLE_CELLS = 4;

/** Return the heat maps of a run: `node`, `show(epoch, order, theme)`, `paint(theme)`, `setScale(scale, theme)`, `zoom(factor)`, `reset()`. */
function heatMaps(run, names, { showReading, chooseClass, scale }) {
  const size = names.length;
  const view = { x: 0, y: 0, size };
  const current = { order: run.orders[0], scale, cell: null, drag: null };
  let token = 0;
  const maps = run.matrices.map((matrix) => mapOf(matrix));
  const node = maps.map((map) => map.node);

  function mapOf(matrix) {
    const canvas = element("canvas", { class: "map", tabindex: "0", role: "application",
      "aria-label": `${matrix.title}: heat map. Arrow keys move to another cell, plus and minus zoom, 0 shows all classes.` });
    const bar = element("canvas", { class: "bar", width: 256, height: 1, "aria-hidden": "true" });
    const ends = element("div", { class: "ends" });
    const note = element("p", { class: "faint note" });
    const map = { matrix, canvas, bar, ends, note, frame: null, picture: null, isEmpty: false };
    map.node = element("figure", { class: "heat" },
      element("figcaption", {}, element("h3", {}, matrix.title), element("span", { class: "faint" }, matrix.about)),
      canvas, element("div", { class: "legend" }, bar, ends), note);
    listen(map);
    return map;
  }

  async function show(epoch, order, theme) {
    const ownToken = ++token;
    const frames = await Promise.all(maps.map((map) => frameOf(map.matrix, epoch, order)));
    if (ownToken !== token) return;
    current.order = order;
    maps.forEach((map, k) => {
      map.frame = frames[k];
      map.isEmpty = Boolean(map.matrix.withoutMistakes?.includes(epoch));
      map.note.textContent = noteOf(map, epoch);
    });
    paint(theme);
    if (current.cell) showReading(readingOf(current.cell));
  }

  /** Draw all heat maps in the colours of a theme. */
  function paint(theme) {
    maps.forEach((map) => {
      map.picture = map.frame && !map.isEmpty ? picture(map.matrix, map.frame, current.order.order, theme, current.scale) : null;
      drawBar(map, theme);
    });
    draw();
  }

  function noteOf({ matrix, frame, isEmpty }, epoch) {
    if (isEmpty) return "There are no mistakes at this epoch.";
    if (!frame) return `There is no ${matrix.title} at epoch ${epoch}.`;
    if (frame.side) return `The map shows the means of ${frame.side} × ${frame.side} blocks of neighbouring classes (rounding error at most ${errorOf(frame.scale)}), because this page does not contain the complete matrix of this epoch.`;
    return `The rounding error of the values is at most ${errorOf(frame.scale)}.`;
  }

  function setScale(scale, theme) {
    current.scale = scale;
    paint(theme);
  }

  function drawBar({ matrix, bar, ends }, theme) {
    const isSigned = current.scale === "raw" && matrix.shown[0] < 0;
    bar.getContext("2d").drawImage(colourBar(theme, isSigned ? -1 : 0), 0, 0);
    ends.replaceChildren(...barLabels(matrix).map((text) => element("span", {}, text)));
  }

  /** Return the labels at the start, the middle and the end of a colour bar. */
  function barLabels(matrix) {
    if (current.scale === "rank") return ["rank ≤ 50 %", "75 %", "100 %"];
    const [from, to] = matrix.shown;
    const last = matrix.low + (matrix.levels - 1) * matrix.step;
    const middle = matrix.symmetric ? (from + to) / 2 : from + (to - from) / 4;
    return [
      `${matrix.low < from - matrix.step ? "≤ " : ""}${formatNumber(from, 2)}`,
      formatNumber(middle, 2),
      `${last > to + matrix.step ? "≥ " : ""}${formatNumber(to, 2)}`,
    ];
  }

  function draw() {
    maps.forEach(drawMap);
  }

  function drawMap(map) {
    const { canvas } = map;
    const width = canvas.clientWidth || 320;
    const plot = width - GUTTER.left;
    const ratio = window.devicePixelRatio || 1;
    const height = plot + GUTTER.top;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    if (map.picture) {
      const scale = map.picture.width / size;
      context.imageSmoothingEnabled = (plot * ratio) / (view.size * scale) < 1;
      context.imageSmoothingQuality = "high";
      context.drawImage(map.picture, view.x * scale, view.y * scale, view.size * scale, view.size * scale, GUTTER.left, GUTTER.top, plot, plot);
    }
    if (map.isEmpty) {
      context.fillStyle = getComputedStyle(document.body).getPropertyValue("--faint");
      context.font = "13px system-ui, sans-serif";
      context.textAlign = "center";
      context.fillText("no mistakes at this epoch", GUTTER.left + plot / 2, GUTTER.top + plot / 2);
    }
    drawLabels(context, plot, view, current.order, names);
    drawPointer(context, plot);
  }

  function drawPointer(context, plot) {
    const ink = getComputedStyle(document.body).getPropertyValue("--pointer");
    const cell = plot / view.size;
    context.strokeStyle = ink;
    if (current.drag?.area) {
      const { x, y, side } = current.drag.area;
      context.strokeRect(GUTTER.left + (x - view.x) * cell, GUTTER.top + (y - view.y) * cell, side * cell, side * cell);
    }
    if (!current.cell) return;
    const [left, top] = [GUTTER.left + (current.cell.column - view.x) * cell, GUTTER.top + (current.cell.row - view.y) * cell];
    if (left < GUTTER.left - cell || top < GUTTER.top - cell || left > GUTTER.left + plot || top > GUTTER.top + plot) return;
    context.save();
    context.beginPath();
    context.rect(GUTTER.left, GUTTER.top, plot, plot);
    context.clip();
    context.globalAlpha = 0.55;
    context.strokeRect(GUTTER.left - 1, top - 0.5, plot + 2, Math.max(2, cell + 1));
    context.strokeRect(left - 0.5, GUTTER.top - 1, Math.max(2, cell + 1), plot + 2);
    context.restore();
  }

  /** Return the two classes of a cell and its value in each matrix. */
  function readingOf({ row, column }) {
    const [i, j] = [current.order.order[row], current.order.order[column]];
    const values = maps.map((map) => ({ title: map.matrix.title, text: valueAt(map, i, j, row, column) }));
    return { row: names[i], column: names[j], same: i === j, values };
  }

  function valueAt({ matrix, frame }, i, j, row, column) {
    if (!frame) return "no value at this epoch";
    if (frame.side) {
      const [a, b] = [row, column].map((position) => Math.floor(((position + 0.5) * frame.side) / size));
      const value = valueOf(frame.scale, frame.codes[a * frame.side + b]);
      return `mean of the block ${formatValue(value, frame.scale)}`;
    }
    if (i === j) return "1 (same class)";
    return formatValue(valueOf(matrix, frame.codes[frameIndex(matrix, size, i, j)]), matrix);
  }

  function cellAt(canvas, event) {
    const box = canvas.getBoundingClientRect();
    const cell = (canvas.clientWidth - GUTTER.left) / view.size;
    const column = view.x + (event.clientX - box.left - GUTTER.left) / cell;
    const row = view.y + (event.clientY - box.top - GUTTER.top) / cell;
    if (event.clientX - box.left < GUTTER.left || event.clientY - box.top < GUTTER.top || column >= size || row >= size) return null;
    return { column, row };
  }

  function point(cell, event) {
    current.cell = cell && { row: Math.min(size - 1, Math.floor(cell.row)), column: Math.min(size - 1, Math.floor(cell.column)) };
    showReading(current.cell && readingOf(current.cell), event);
    draw();
  }

  function listen(map) {
    const { canvas } = map;
    canvas.addEventListener("pointermove", (event) => (current.drag ? drag(canvas, event) : point(cellAt(canvas, event), event)));
    canvas.addEventListener("pointerleave", () => { if (!current.drag) point(null); });
    canvas.addEventListener("pointerdown", (event) => {
      const start = cellAt(canvas, event);
      if (!start || event.button !== 0) return;
      current.drag = { start, from: { ...view }, x: event.clientX, y: event.clientY, moved: false, area: null };
      if (event.pointerType === "mouse") canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointerup", (event) => drop(canvas, event));
    canvas.addEventListener("pointercancel", () => { current.drag = null; draw(); });
    canvas.addEventListener("dblclick", reset);
    canvas.addEventListener("wheel", (event) => {
      if (document.activeElement !== canvas && !event.ctrlKey) return;
      event.preventDefault();
      zoom(event.deltaY < 0 ? 1.25 : 0.8, cellAt(canvas, event));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => key(event));
  }

  /** Move the view if it shows a part of the matrix; otherwise mark the square to zoom to. */
  function drag(canvas, event) {
    const { start, from, x, y } = current.drag;
    const cell = (canvas.clientWidth - GUTTER.left) / view.size;
    current.drag.moved = current.drag.moved || Math.hypot(event.clientX - x, event.clientY - y) > 5;
    if (from.size < size) setView(from.x - (event.clientX - x) / cell, from.y - (event.clientY - y) / cell, from.size);
    else if (current.drag.moved && event.pointerType === "mouse") {
      const side = Math.max(event.clientX - x, event.clientY - y) / cell;
      const length = Math.max(Math.min(MIN_VISIBLE_CELLS, size), Math.abs(side));
      current.drag.area = { x: side > 0 ? start.column : start.column - length, y: side > 0 ? start.row : start.row - length, side: length };
    }
    draw();
  }

  function drop(canvas, event) {
    const { drag: finished } = current;
    current.drag = null;
    if (!finished) return;
    if (finished.area) setView(finished.area.x, finished.area.y, finished.area.side);
    else if (!finished.moved) {
      const cell = cellAt(canvas, event);
      point(cell, event);
      if (current.cell) chooseClass(current.order.order[current.cell.row]);
    }
    draw();
  }

  function key(event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (step) moveCell(...step);
    else if (event.key === "+" || event.key === "=") zoom(1.5);
    else if (event.key === "-") zoom(1 / 1.5);
    else if (event.key === "0") reset();
    else if (event.key === "Enter" && current.cell) chooseClass(current.order.order[current.cell.row]);
    else return;
    event.preventDefault();
  }

  function moveCell(down, right) {
    const from = current.cell || { row: Math.floor(view.y), column: Math.floor(view.x) - right };
    const clamp = (position) => Math.min(size - 1, Math.max(0, position));
    current.cell = { row: clamp(from.row + down), column: clamp(from.column + right) };
    const scrolled = (position, start) => Math.min(position, Math.max(position + 1 - view.size, start));
    setView(scrolled(current.cell.column, view.x), scrolled(current.cell.row, view.y), view.size);
    showReading(readingOf(current.cell));
  }

  function setView(x, y, side) {
    view.size = Math.min(size, Math.max(Math.min(MIN_VISIBLE_CELLS, size), side));
    view.x = Math.min(size - view.size, Math.max(0, x));
    view.y = Math.min(size - view.size, Math.max(0, y));
    draw();
  }

  function zoom(factor, around = null) {
    const middle = around || (current.cell && { column: current.cell.column + 0.5, row: current.cell.row + 0.5 }) || { column: view.x + view.size / 2, row: view.y + view.size / 2 };
    const side = Math.min(size, Math.max(Math.min(MIN_VISIBLE_CELLS, size), view.size / factor));
    const ratio = side / view.size;
    setView(middle.column - (middle.column - view.x) * ratio, middle.row - (middle.row - view.y) * ratio, side);
  }

  function reset() {
    setView(0, 0, size);
  }

  return { node, show, paint, setScale, draw, zoom, reset };
}
