// Heat maps of all matrices of a run at one epoch, and of a difference. They share the axis, the visible part and the pointer.

const MIN_VISIBLE_ITEMS = 4;
const DIFFERENCE_LIMIT = 0.75;
const MAP_KEYS = "heat map. Arrow keys move to another cell, Enter opens the pair, plus and minus zoom, 0 shows all classes.";

/**
 * Return the heat maps of a run. `actions` are `read(reading, event)`, `open(...classes)` and `fold(segment)`, which are called
 * for a pointer on a cell, for clicks on a class or a pair, and for clicks on a folded group.
 */
function heatMaps(run, names, actions) {
  const groups = groupsOfRun(run);
  const current = { epoch: null, order: run.orders[0], axis: null, difference: null, cell: null, drag: null, pointer: null };
  const view = { x: 0, y: 0, size: names.length };
  let token = 0;
  const maps = run.matrices.map((matrix) => mapOf(matrix, matrix.title, matrix.about));
  const differenceMap = mapOf(null, "Difference", null);
  if (maps.length > 0) maps.push(differenceMap);

  function mapOf(matrix, title, about) {
    const canvas = element("canvas", { class: "map", tabindex: "0", role: "application", "aria-label": `${title}: ${MAP_KEYS}` });
    const bar = element("canvas", { class: "bar", width: 256, height: 1, "aria-hidden": "true" });
    const ends = element("div", { class: "ends" });
    const note = element("p", { class: "faint note" });
    const caption = figureTitle(title, about);
    const map = { matrix, title, canvas, bar, ends, note, caption, frame: null, layer: null, picture: null, isEmpty: false };
    map.node = element("figure", { class: "heat" }, caption, canvas, element("div", { class: "legend" }, bar, ends), note);
    canvas.addEventListener("pointermove", (event) => { if (current.axis) (current.drag ? drag : point)(canvas, event); });
    canvas.addEventListener("pointerleave", () => { if (!current.drag && current.axis) point(canvas, null); });
    canvas.addEventListener("pointerdown", (event) => {
      const start = current.axis && cellAt(canvas, event);
      if (!start || event.button !== 0) return;
      current.drag = { start, from: { ...view }, x: event.clientX, y: event.clientY, moved: false, area: null };
      if (event.pointerType === "mouse") canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointerup", (event) => drop(canvas, event));
    canvas.addEventListener("pointercancel", () => { current.drag = null; draw(); });
    canvas.addEventListener("keydown", key);
    return map;
  }

  /** Draw all maps at an epoch; `folded` are the indices of folded segments of the order. */
  async function show(epoch, order, folded, difference) {
    const ownToken = ++token;
    const frames = await Promise.all(maps.map((map) => map.matrix && frameOf(map.matrix, epoch, order)));
    const layer = difference && await differenceLayer(difference, epoch, order);
    if (ownToken !== token) return;
    const axis = axisOf(order, names, folded);
    if (current.axis?.size !== axis.size || current.order !== order) {
      Object.assign(view, { x: 0, y: 0, size: axis.size });
      current.cell = null;
    }
    Object.assign(current, { epoch, order, axis, difference });
    maps.forEach((map, k) => {
      map.frame = frames[k];
      map.isEmpty = Boolean(map.matrix?.withoutMistakes?.includes(epoch));
    });
    differenceMap.frame = layer;
    paint();
  }

  /** Draw all heat maps in the colours of the theme and the scale, and read the cell under the pointer again. */
  function paint() {
    if (!current.axis) return;
    for (const map of maps) {
      const { frame, matrix } = map;
      const hasValues = frame && !map.isEmpty;
      const { items } = current.axis;
      let shade = (value) => Math.max(-1, Math.min(1, value / DIFFERENCE_LIMIT));
      if (matrix) shade = selection.scale === "rank" ? rankShade : (value) => rawShade(matrix, value);
      Object.assign(map, { layer: null, picture: null });
      if (hasValues) {
        // The colours of blocks are ranks among the blocks, because means of ranks differ too little to be seen.
        const isRanked = matrix && selection.scale === "rank" && (frame.starts || items.length < names.length);
        map.layer = matrix ? layerOf(matrix, frame, current.order.order, selection.scale) : frame.at;
        const grid = gridOf(map.layer, items, matrix ? matrix.symmetric : frame.symmetric);
        map.picture = gridPicture(isRanked ? rankedGrid(grid) : grid, items, shade);
      }
      map.note.textContent = noteOf(map);
      const isSigned = !matrix || (selection.scale === "raw" && matrix.shown[0] < 0);
      map.bar.getContext("2d").drawImage(colourBar(isSigned ? -1 : 0), 0, 0);
      map.ends.replaceChildren(...barLabels(matrix).map((text) => element("span", {}, text)));
    }
    draw();
    readAgain();
  }

  function noteOf(map) {
    const { matrix, frame, isEmpty } = map;
    if (isEmpty) return "There are no mistakes at this epoch.";
    if (!frame && !matrix) return "One of the two matrices does not exist at this epoch.";
    if (!frame) return `There is no ${matrix.title} at epoch ${current.epoch}.`;
    const notes = [];
    if (frame.starts) notes.push(`The map shows the means of ${frame.starts.length} × ${frame.starts.length} blocks of `
      + "neighbouring classes, because this page does not contain the complete matrix of this epoch.");
    const isRounded = matrix && selection.scale === "raw" && frame.scale.step > 1e-3;
    if (!matrix) notes.push(`The strongest colours are a difference of ${100 * DIFFERENCE_LIMIT} % of all ranks or more.`);
    if (isRounded) notes.push(`The rounding error of the values is at most ${errorOf(frame.scale)}.`);
    return notes.join(" ");
  }

  /** Return the labels at the start, the middle and the end of a colour bar. */
  function barLabels(matrix) {
    if (!matrix) return current.difference ? [current.difference.less, "", current.difference.more] : [];
    if (selection.scale === "rank") return ["less similar half", "nearest 25 %", "rank 1"];
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
    if (!current.axis) return;
    maps.forEach((map) => drawMap(map, map.canvas, map.canvas.clientWidth || 320, window.devicePixelRatio || 1));
  }

  function drawMap(map, canvas, width, ratio) {
    const context = canvas.getContext("2d");
    const edges = edgesOf(context, current.axis, width, view.size, groups.numbers.size > 0);
    const plot = width - edges.left;
    const height = plot + edges.top;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    map.edges = edges;
    Object.assign(canvas.dataset, { left: edges.left, top: edges.top });
    map.node.style.setProperty("--edge", `${edges.left}px`);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.font = "11px system-ui, sans-serif";
    if (map.picture) {
      context.imageSmoothingEnabled = (plot * ratio) / view.size < 1;
      context.imageSmoothingQuality = "high";
      context.drawImage(map.picture, view.x, view.y, view.size, view.size, edges.left, edges.top, plot, plot);
    }
    drawEdges(context, plot, view, current.axis, edges, (index) => groups.of[index]);
    context.save();
    context.beginPath();
    context.rect(edges.left, edges.top, plot, plot);
    context.strokeStyle = styleColour("--rule");
    context.lineWidth = 1;
    context.stroke();
    context.clip();
    drawMarks(context, plot, edges);
    context.restore();
  }

  /** Draw the crosshair, the selected classes and the square to zoom to, each in black and white so that all colours show them. */
  function drawMarks(context, plot, { left, top }) {
    const cell = plot / view.size;
    const box = (x, y, width, height) => {
      for (const [line, colour] of [[3, "#ffffff"], [1, "#000000"]]) {
        context.lineWidth = line;
        context.strokeStyle = colour;
        context.strokeRect(left + (x - view.x) * cell, top + (y - view.y) * cell, width * cell, height * cell);
      }
    };
    const { axis, cell: pointed } = current;
    const items = selection.classes.map((index) => axis.itemOf(index));
    if (items.length === 1) {
      box(-1, items[0], axis.size + 2, 1);
      box(items[0], -1, 1, axis.size + 2);
    }
    const margin = Math.max(0, 9 / cell - 1) / 2; // a small cell gets a larger frame
    const side = 1 + 2 * margin;
    for (const row of items) {
      for (const column of items) if (row !== column) box(column - margin, row - margin, side, side);
    }
    if (pointed) {
      context.globalAlpha = 0.75;
      box(-1, pointed.row, axis.size + 2, 1);
      box(pointed.column, -1, 1, axis.size + 2);
      context.globalAlpha = 1;
    }
    if (current.drag?.area) box(current.drag.area.x, current.drag.area.y, current.drag.area.side, current.drag.area.side);
  }

  /** Return the classes or groups of a cell, and a text for each map. */
  function readingOf({ row, column }) {
    const [a, b] = [current.axis.items[row], current.axis.items[column]];
    const values = maps.map((map) => ({ title: titleOfMap(map), text: textAt(map, a, b) })).filter(({ title }) => title);
    const groupNames = [a, b].map((item) => current.axis.segments[item.segment].name ?? "no group");
    const hasClass = a.first === a.last || b.first === b.last;
    if (groups.numbers.size && hasClass) values.push({ title: "groups", text: groupNames.join(" × ") });
    return { row: a.name, column: b.name, values };
  }

  function titleOfMap(map) {
    return map.matrix ? map.title : current.difference?.title;
  }

  function textAt({ matrix, frame }, a, b) {
    if (!frame) return "no value at this epoch";
    const isPair = a.first === a.last && b.first === b.last && !frame.starts;
    if (isPair && a === b) return matrix ? "1 (same class)" : "0 (same class)";
    const block = isPair ? "" : "mean of the block: ";
    if (!matrix) {
      const share = meanOf(frame.at, a, b);
      const side = share < 0 ? current.difference.less : current.difference.more;
      return Number.isNaN(share) ? "no value" : `${block}${side} by ${Math.round(100 * Math.abs(share))} % of all ranks`;
    }
    if (isPair) {
      const code = frame.codes[frameIndex(matrix, names.length, current.axis.order[a.first], current.axis.order[b.first])];
      return code === 0 ? "no value" : `rank ${rankText(frame, code)}: ${formatValue(valueOf(frame.scale, code), frame.scale)}`;
    }
    const pairs = (names.length * (names.length - 1)) / (matrix.symmetric ? 2 : 1);
    const [rank, value] = ["rank", "raw"].map((shown) => meanOf(layerOf(matrix, frame, current.order.order, shown), a, b));
    if (Number.isNaN(value)) return "no value";
    const rankOfAll = `rank ${rankAt(rank, pairs).toLocaleString("en")} of ${pairs.toLocaleString("en")}`;
    return `${block}${rankOfAll}, value ${formatValue(value, frame.scale)}`;
  }

  function cellAt(canvas, event) {
    const { left, top } = maps.find((map) => map.canvas === canvas).edges;
    const box = canvas.getBoundingClientRect();
    const cell = (canvas.clientWidth - left) / view.size;
    const [x, y] = [event.clientX - box.left - left, event.clientY - box.top - top];
    const [column, row] = [view.x + x / cell, view.y + y / cell];
    if (column >= current.axis.size || row >= current.axis.size || (x < 0 && y < 0)) return null;
    return { column, row, isLabel: x < 0 ? "row" : y < 0 ? "column" : null, toPlot: -Math.min(x, y) };
  }

  function point(canvas, event) {
    const cell = event && cellAt(canvas, event);
    current.pointer = event && { canvas, clientX: event.clientX, clientY: event.clientY };
    const clamp = (position) => Math.min(current.axis.size - 1, Math.floor(position));
    current.cell = cell && !cell.isLabel ? { row: clamp(cell.row), column: clamp(cell.column) } : null;
    actions.read(current.cell && readingOf(current.cell), event);
    draw();
  }

  /** Read the cell under the pointer again, because the maps have changed. */
  function readAgain() {
    if (current.pointer) point(current.pointer.canvas, current.pointer);
    else if (current.cell) actions.read(readingOf(current.cell));
  }

  /** Open the pair or the class of a cell, or unfold its groups. */
  function open({ row, column }) {
    const { axis } = current;
    const folded = [...new Set([row, column])].filter((item) => !axis.isSingle(item));
    if (folded.length) return folded.forEach((item) => actions.fold(axis.items[item].segment));
    const [i, j] = [row, column].map((item) => axis.order[axis.items[item].first]);
    if (i === j) actions.open(i);
    else actions.open(i, j);
  }

  /** Open the class of a label, or fold or unfold the group of a place on the strip of colours. */
  function openLabel(canvas, { row, column, isLabel, toPlot }) {
    const { axis } = current;
    const item = Math.floor(isLabel === "row" ? row : column);
    const { strip, mode } = maps.find((map) => map.canvas === canvas).edges;
    if (toPlot > strip + 2 && axis.isSingle(item) && mode === "names") actions.open(axis.order[axis.items[item].first]);
    else actions.fold(axis.items[item].segment);
  }

  /** Move the view if it shows a part of the matrix; otherwise mark the square to zoom to. */
  function drag(canvas, event) {
    const { start, from, x, y } = current.drag;
    const cell = (canvas.clientWidth - Number(canvas.dataset.left)) / view.size;
    current.drag.moved = current.drag.moved || Math.hypot(event.clientX - x, event.clientY - y) > 5;
    if (!current.drag.moved) return;
    const [right, down] = [(event.clientX - x) / cell, (event.clientY - y) / cell];
    if (from.size < current.axis.size) setView(from.x - right, from.y - down, from.size);
    else if (event.pointerType === "mouse" && !start.isLabel) {
      const length = Math.max(right, down);
      const side = allowedSize(Math.abs(length));
      const back = length > 0 ? 0 : side;
      current.drag.area = { x: start.column - back, y: start.row - back, side };
    }
    draw();
  }

  function drop(canvas, event) {
    const { drag: finished } = current;
    current.drag = null;
    if (!finished) return;
    current.pointer = { canvas, clientX: event.clientX, clientY: event.clientY };
    if (finished.area) setView(finished.area.x, finished.area.y, finished.area.side);
    else if (!finished.moved) {
      const cell = cellAt(canvas, event);
      point(canvas, event);
      if (cell?.isLabel) openLabel(canvas, cell);
      else if (current.cell) open(current.cell);
    } else readAgain();
  }

  function key(event) {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (step) moveCell(...step);
    else if (event.key === "+" || event.key === "=") zoom(1.5);
    else if (event.key === "-") zoom(1 / 1.5);
    else if (event.key === "0") reset();
    else if (event.key === "Enter" && current.cell) open(current.cell);
    else return;
    event.preventDefault();
  }

  function moveCell(down, right) {
    const from = current.cell || { row: Math.floor(view.y), column: Math.floor(view.x) - right };
    const clamp = (position) => Math.min(current.axis.size - 1, Math.max(0, position));
    current.pointer = null;
    current.cell = { row: clamp(from.row + down), column: clamp(from.column + right) };
    showItems(current.cell.row, current.cell.column);
    actions.read(readingOf(current.cell));
  }

  /** Move the view so that it shows a row and a column. */
  function showItems(row, column) {
    const scrolled = (position, start) => Math.min(position, Math.max(position + 1 - view.size, start));
    setView(scrolled(column, view.x), scrolled(row, view.y), view.size);
  }

  /** Return the number of visible items that is nearest to a wanted number. */
  function allowedSize(wanted) {
    const { size } = current.axis;
    return Math.min(size, Math.max(MIN_VISIBLE_ITEMS, wanted));
  }

  function setView(x, y, side) {
    const { size } = current.axis;
    view.size = allowedSize(side);
    view.x = Math.min(size - view.size, Math.max(0, x));
    view.y = Math.min(size - view.size, Math.max(0, y));
    draw();
    if (current.pointer && !current.drag) point(current.pointer.canvas, current.pointer);
  }

  function zoom(factor) {
    let middle = { column: view.x + view.size / 2, row: view.y + view.size / 2 };
    if (current.cell) middle = { column: current.cell.column + 0.5, row: current.cell.row + 0.5 };
    const side = allowedSize(view.size / factor);
    const ratio = side / view.size;
    setView(middle.column - (middle.column - view.x) * ratio, middle.row - (middle.row - view.y) * ratio, side);
  }

  function reset() {
    setView(0, 0, current.axis.size);
  }

  /** Mark the selected class or pair of classes, and move the view so that it shows them. */
  function showSelected() {
    if (current.axis) showItems(current.axis.itemOf(selection.classes[0]), current.axis.itemOf(selection.classes.at(-1)));
  }

  /** Return a canvas with a map, its title and its colour bar. */
  function exportCanvas(map) {
    const [width, header, footer] = [900, 40, 46];
    const picture = element("canvas");
    drawMap(map, picture, width, EXPORT_RATIO);
    const canvas = element("canvas", { width: width * EXPORT_RATIO, height: picture.height + (header + footer) * EXPORT_RATIO });
    const context = canvas.getContext("2d");
    context.fillStyle = getComputedStyle(document.body).backgroundColor;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(picture, 0, header * EXPORT_RATIO);
    context.scale(EXPORT_RATIO, EXPORT_RATIO);
    context.fillStyle = styleColour("--ink");
    context.font = "bold 15px system-ui, sans-serif";
    const at = run.has_epochs && map.matrix?.epochs !== null ? `, epoch ${current.epoch}` : "";
    context.fillText(`${run.name}: ${titleOfMap(map)}${at}`, 4, 24);
    const { left } = map.edges;
    const bottom = picture.height / EXPORT_RATIO + header;
    context.drawImage(map.bar, left, bottom + 8, width - left, 10);
    context.font = "12px system-ui, sans-serif";
    barLabels(map.matrix).forEach((text, k) => {
      context.textAlign = ["left", "center", "right"][k];
      context.fillText(text, left + ((width - left) * k) / 2, bottom + 36);
    });
    draw();
    return canvas;
  }

  /** Return the cells of a map as rows: values of the classes in display order, on the scale of the colours. */
  function exportRows(map) {
    const { items } = current.axis;
    const rows = items.map((row) => [row.name, ...items.map((column) => (map.layer ? meanOf(map.layer, row, column) : null))]);
    return [["", ...items.map(({ name }) => name)], ...rows];
  }

  return { maps, differenceMap, groups, show, paint, draw, zoom, reset, showSelected, exportCanvas, exportRows };
}
