// Heat maps of all matrices of a run at one epoch. They share the order of the classes, the visible part and the pointer.

const MIN_VISIBLE = 4;
const STRIP = 10; // the width in pixels of the strips with the colours of the groups
const LABEL_HEIGHT_ON_MAP = 11;
const MAX_TOP = 96;

/** Return the numbers of a run's groups by name, in the first order of the run, and the number of the group of each class. */
function groupsOfRun(run) {
  const names = DATA.classes[run.classes].map(({ group }) => (group == null ? null : plainSynset(group)));
  const shown = new Set(run.orders[0].order.map((index) => names[index]).filter((name) => name != null));
  const numbers = new Map([...shown].map((name, k) => [name, k]));
  return { numbers, of: names.map((name) => numbers.get(name) ?? -1) };
}

/** Return the colour of the k-th group of classes, the same as in the figures; grey for classes without a group. */
const groupColour = (k) => (k < 0 ? DATA.group_colours.none : DATA.group_colours.groups[k % DATA.group_colours.groups.length]);

/** Return where lines cross the colour of the k-th group, from 0 to 1: each repetition of the colours has one line more. */
function groupLines(k) {
  const count = Math.floor(Math.max(0, k) / DATA.group_colours.groups.length);
  return Array.from({ length: count }, (_, line) => (line + 1) / (count + 1));
}

/**
 * Return the heat maps of a run. `actions` are `read(reading, event)` and `open(...classes)`, which are called for a pointer on a
 * cell, and for a click on a class or a pair.
 */
function heatMaps(run, names, actions) {
  const groups = groupsOfRun(run);
  const size = names.length;
  const current = { epoch: null, order: run.orders[0].order, cell: null };
  const view = { x: 0, y: 0, size };
  let token = 0;
  const maps = run.matrices.map((matrix) => {
    const label = `Heat map of all pairs of classes: ${matrix.title}`;
    const canvas = element("canvas", { class: "map", role: "img", "aria-label": label });
    const [legend, note] = [element("div", { class: "legend-bar" }), element("p", { class: "faint note" })];
    const map = { matrix, canvas, legend, note, frame: null };
    map.node = element("figure", { class: "heat" }, figureTitle(matrix.title, matrix.about), canvas, legend, note,
      exportMenu(`${run.name} ${matrix.title}`, { csv: () => exportRows(map) }));
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("pointerleave", () => point(null));
    canvas.addEventListener("click", (event) => open(cellAt(event)));
    return map;
  });

  /** Draw all maps at an epoch. */
  async function show(epoch, order) {
    const ownToken = ++token;
    const frames = await Promise.all(maps.map(({ matrix }) => frameOf(matrix, epoch)));
    if (ownToken !== token) return;
    Object.assign(current, { epoch, order });
    maps.forEach((map, k) => { map.frame = map.matrix.withoutMistakes.includes(epoch) ? null : frames[k]; });
    paint();
  }

  /** Draw all heat maps in the colours of the theme. */
  function paint() {
    for (const map of maps) {
      const { frame, matrix } = map;
      map.picture = frame && layerPicture(layerOf(matrix, frame, current.order), size);
      map.note.textContent = noteOf(map);
      map.legend.replaceChildren(colourBar(), colourEnds(["less similar half", "nearest 25 %", "rank 1"]));
    }
    draw();
  }

  function noteOf({ matrix, frame }) {
    if (matrix.withoutMistakes.includes(current.epoch)) return "There are no mistakes at this epoch.";
    if (!frame) return `This page does not contain this matrix at epoch ${current.epoch}.`;
    return matrix.symmetric ? "" : "Empty cells are pairs that were never confused.";
  }

  function draw() {
    if (current.epoch != null) maps.forEach(drawMap);
  }

  function drawMap(map) {
    const { canvas } = map;
    const width = canvas.clientWidth || 320;
    const ratio = window.devicePixelRatio || 1;
    const context = canvas.getContext("2d");
    const edges = edgesOf(context, width);
    const plot = width - edges.left;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round((plot + edges.top) * ratio);
    map.edges = edges;
    Object.assign(canvas.dataset, { left: edges.left, top: edges.top });
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (map.picture) {
      context.imageSmoothingEnabled = (plot * ratio) / view.size < 1;
      context.drawImage(map.picture, view.x, view.y, view.size, view.size, edges.left, edges.top, plot, plot);
    }
    drawEdges(context, plot, edges);
    context.beginPath();
    context.rect(edges.left, edges.top, plot, plot);
    context.strokeStyle = styleColour("--rule");
    context.lineWidth = 1;
    context.stroke();
    context.clip();
    drawMarks(context, plot, edges);
  }

  /** Return the edges of a map for the strips of groups and, if there is room, the names of classes: {left, top, hasNames}. */
  function edgesOf(context, width) {
    const strip = groups.numbers.size ? STRIP : 0;
    context.font = "11px system-ui, sans-serif";
    const hasNames = (width - 100) / view.size >= LABEL_HEIGHT_ON_MAP;
    const widest = Math.max(...names.map((name) => context.measureText(name).width));
    const room = hasNames ? Math.min(widest + 8, 0.34 * width) : 0;
    return { hasNames, strip, left: strip + 4 + room, top: strip + 4 + Math.min(room, MAX_TOP) };
  }

  /** Draw the strips of group colours, and the names of the rows and the columns. */
  function drawEdges(context, plot, { left, top, strip, hasNames }) {
    context.font = "11px system-ui, sans-serif";
    const cell = plot / view.size;
    const [paper, ink] = ["--paper", "--ink"].map(styleColour);
    for (let k = 0; k < view.size; k++) {
      const [row, column] = [view.y, view.x].map((start) => groups.of[current.order[start + k]]);
      const [x, y] = [left - strip - 2, top - strip - 2];
      context.fillStyle = groupColour(row);
      context.fillRect(x, top + k * cell, strip, cell + 0.5);
      context.fillStyle = groupColour(column);
      context.fillRect(left + k * cell, y, cell + 0.5, strip);
      context.fillStyle = paper;
      groupLines(row).forEach((at) => context.fillRect(x + at * strip - 1, top + k * cell, 2, cell + 0.5));
      groupLines(column).forEach((at) => context.fillRect(left + k * cell, y + at * strip - 1, cell + 0.5, 2));
      if (!hasNames) continue;
      context.fillStyle = ink;
      context.textBaseline = "middle";
      const [rowName, columnName] = [view.y, view.x].map((start) => names[current.order[start + k]]);
      context.textAlign = "right";
      context.fillText(rowName, left - strip - 6, top + (k + 0.5) * cell, left - strip - 8);
      context.save();
      context.translate(left + (k + 0.5) * cell, top - strip - 6);
      context.rotate(-Math.PI / 2);
      context.textAlign = "left";
      context.fillText(columnName, 0, 0, top - strip - 8);
      context.restore();
    }
  }

  /** Draw the crosshair or the selected classes, each in black and white so that all colours show them. */
  function drawMarks(context, plot, { left, top }) {
    const cell = plot / view.size;
    const box = (x, y, width, height) => {
      for (const [line, colour] of [[3, "#ffffff"], [1, "#000000"]]) {
        context.lineWidth = line;
        context.strokeStyle = colour;
        const edge = (position) => Math.min(plot - 1.5, Math.max(1.5, position * cell)); // a box at the edge is whole
        const [x0, x1, y0, y1] = [x - view.x, x - view.x + width, y - view.y, y - view.y + height].map(edge);
        context.strokeRect(left + x0, top + y0, x1 - x0, y1 - y0);
      }
    };
    const positions = selection.classes.map((index) => current.order.indexOf(index));
    const side = Math.max(1, 9 / cell); // a small cell gets a larger frame
    for (const row of positions) {
      for (const column of positions) {
        if (row !== column) box(column + 0.5 - side / 2, row + 0.5 - side / 2, side, side);
      }
    }
    const single = positions.length === 1 ? { row: positions[0], column: positions[0] } : null;
    const crossed = current.cell ?? single;
    if (!crossed) return;
    box(-1, crossed.row, size + 2, 1);
    box(crossed.column, -1, 1, size + 2);
  }

  /** Return the names of the classes of a cell, and a text for each map. */
  function readingOf({ row, column }) {
    const [i, j] = [row, column].map((position) => current.order[position]);
    const values = maps.map((map) => ({ title: map.matrix.title, text: textAt(map, i, j) }));
    return { row: names[i], column: names[j], values };
  }

  function textAt({ matrix, frame }, i, j) {
    if (i === j) return "1 (same class)";
    const code = frame?.codes[frameIndex(matrix, size, i, j)];
    if (!code) return frame ? "no value" : "no value at this epoch";
    return `rank ${rankText(frame, code)}: ${formatValue(valueOf(frame.scale, code), frame.scale)}`;
  }

  function cellAt(event) {
    const { canvas, edges } = maps.find((map) => map.canvas === event.currentTarget);
    const box = canvas.getBoundingClientRect();
    const cell = (canvas.clientWidth - edges.left) / view.size;
    const place = (offset, start) => start + Math.floor(offset / cell);
    const column = place(event.clientX - box.left - edges.left, view.x);
    const row = place(event.clientY - box.top - edges.top, view.y);
    return column < view.x || row < view.y || column >= size || row >= size ? null : { row, column };
  }

  function point(event) {
    current.cell = event && cellAt(event);
    actions.read(current.cell && readingOf(current.cell), event);
    draw();
  }

  /** Open the pair or the class of a cell. */
  function open(cell) {
    if (!cell) return;
    const [i, j] = [cell.row, cell.column].map((position) => current.order[position]);
    if (i === j) actions.open(i);
    else actions.open(i, j);
  }

  /** Show a square of the matrices, which begins with a whole class. */
  function setView(x, y, side) {
    view.size = Math.min(size, Math.max(MIN_VISIBLE, Math.round(side)));
    view.x = Math.min(size - view.size, Math.max(0, Math.round(x)));
    view.y = Math.min(size - view.size, Math.max(0, Math.round(y)));
    draw();
  }

  /** Mark the selected classes, and zoom around them. */
  function showSelected(factor = 1) {
    const positions = selection.classes.map((index) => current.order.indexOf(index));
    const side = view.size / factor;
    const [row, column] = positions.length ? [positions[0], positions.at(-1)] : [0, 0];
    setView(column + 0.5 - side / 2, row + 0.5 - side / 2, side);
  }

  /** Return the values of a map as rows, in the order of the display. */
  function exportRows({ matrix, frame }) {
    const { order } = current;
    const valueAt = (i, j) => (i === j || !frame ? null : valueOf(frame.scale, frame.codes[frameIndex(matrix, size, i, j)]));
    return [["", ...order.map((j) => names[j])], ...order.map((i) => [names[i], ...order.map((j) => valueAt(i, j))])];
  }

  return { nodes: maps.map(({ node }) => node), groups, show, paint, draw, showSelected, showAll: () => setView(0, 0, size) };
}
