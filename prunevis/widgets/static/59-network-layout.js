// Where everything in the drawn network goes. The layering is dagre's (04-dagre.js); rows, frames and
// the corners of edges are ours.

/** The blocks around a part that are drawn as frames, the innermost first. */
function framesAround(drawing, shut, part) {
  const around = [];
  let block = part.block < 0 ? drawing.nodes[part.members[0]].block : drawing.blocks[part.block].parent;
  for (; block >= 0; block = drawing.blocks[block].parent) around.push(block);
  return around;
}

/**
 * Places of all parts, frames round unfolded blocks, and paths of all edges.
 *
 * The flow runs along one axis (u) and spreads along the other (v). On a wide screen u is x, and the
 * flow goes on in the next row where a row is full, as text does; on a narrow one u is y.
 */
function layoutNetwork(drawing, shut, view, sizes, room, wide, unframed = new Set()) {
  const boxes = view.parts.map((part, p) => (wide ? { du: sizes[p].w, dv: sizes[p].h } : { du: sizes[p].h, dv: sizes[p].w }));
  const frames = framesOf(drawing, shut, view, unframed);
  const deepest = Math.max(0, ...frames.map((frame) => frame.level));
  const pad = (frame) => 3 + 6 * frame.level;
  const top = (frame) => 4 + 20 * frame.level;
  const gap = wide ? 14 + 12 * Math.max(1, deepest) : 16 + 19 * deepest;

  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 16, edgesep: 12, ranksep: gap });
  graph.setDefaultEdgeLabel(() => ({}));
  boxes.forEach((box, p) => graph.setNode(p, { width: box.du, height: box.dv }));
  for (const [a, b] of view.edges) graph.setEdge(a, b, { weight: b === a + 1 ? 8 : 1 });
  dagre.layout(graph);
  boxes.forEach((box, p) => Object.assign(box, { u: graph.node(p).x, v: graph.node(p).y }));

  const columns = columnsOf(boxes);
  const lanes = view.edges.map(([a, b]) => laneOf(graph.edge(a, b).points, boxes[a], boxes[b], columns));
  const clash = clashing(drawing, frames, boxes);
  if (clash.size) return layoutNetwork(drawing, shut, view, sizes, room, wide, new Set([...unframed, ...clash]));
  // From row to row, edges out of one node in its last column go as one.
  const strand = ([a, b], c) => (boxes[a].column === c ? `node ${a}` : `edge ${a} ${b}`);
  const crossing = columns.map((_, c) =>
    new Set(view.edges.filter(([a, b]) => boxes[a].column <= c && boxes[b].column > c).map((edge) => strand(edge, c))).size);
  const whole = columns[columns.length - 1].right - columns[0].left;
  const edge = 4 + 6 * deepest;
  const flat = !wide || whole + 2 * edge <= room;
  let margin = edge;
  let rows = [[0, columns.length]];
  // Edges that go on in the next row need room beside it.
  for (let strands = 1; !flat; strands++) {
    margin = edge + 10 + 6 * strands;
    rows = rowsOf(columns, crossing, room - 2 * margin, frames, boxes);
    if (Math.max(...rows.slice(0, -1).map(([, end]) => crossing[end - 1])) <= strands) break;
  }

  // Each row is as high as what is in it.
  let at = 0;
  const places = rows.map(([first, end], r) => {
    const inside = boxes.filter((box) => box.column >= first && box.column < end);
    let low = Math.min(...inside.map((box) => box.v - box.dv / 2));
    let high = Math.max(...inside.map((box) => box.v + box.dv / 2));
    for (const lane of lanes) {
      for (const [c, v] of lane) if (c >= first && c < end) [low, high] = [Math.min(low, v - 4), Math.max(high, v + 4)];
    }
    for (const frame of frames) {
      const piece = pieceOf(frame, boxes, lanes, view.edges, first, end);
      if (!piece) continue;
      piece.row = r;
      piece.head = frame.pieces.length ? pad(frame) : top(frame);
      frame.pieces.push(piece);
      low = Math.min(low, piece.low - (wide ? piece.head : pad(frame)));
      high = Math.max(high, piece.high + pad(frame));
    }
    const broken = r + 1 < rows.length ? crossing[end - 1] : 0;
    const place = { first, end, du: margin - columns[first].left, dv: at - low, bottom: at + high - low, broken, strands: new Map() };
    at = place.bottom + 24 + 7 * broken;
    return place;
  });
  const rowOf = [];
  places.forEach((row, r) => {
    for (let c = row.first; c < row.end; c++) rowOf[c] = r;
  });
  const put = (u, v, row) => ({ u: u + row.du, v: v + row.dv });
  for (const box of boxes) Object.assign(box, put(box.u, box.v, places[rowOf[box.column]]));

  const paths = view.edges.map((edge, e) =>
    routeOf(lanes[e], boxes[edge[0]], boxes[edge[1]], columns, places, rowOf, (c) => strand(edge, c)));
  const span = Math.max(...boxes.map((box) => box.u + box.du / 2)) + margin;
  const turn = (p) => (wide ? [p.u, p.v] : [p.v, p.u]);
  const depth = at - 24;
  const lead = wide ? 0 : Math.max(0, ...frames.flatMap((frame) => frame.pieces.map((piece) => piece.head - piece.left - margin)));
  const across = wide ? 0 : Math.max(0, (room - depth) / 2);
  const shift = ([x, y]) => [x + across, y + lead];
  return {
    width: wide ? span : Math.max(depth, room),
    height: wide ? depth : span + lead,
    places: boxes.map((box, p) => {
      const [x, y] = shift(turn(box));
      return { x, y, w: sizes[p].w, h: sizes[p].h, row: rowOf[box.column] };
    }),
    paths: paths.map((points) => points.map((p) => shift(turn(p)))),
    frames: frames.flatMap((frame) => frame.pieces.map((piece, i) => {
      const row = places[piece.row];
      const [x0, y0] = shift(turn(put(piece.left, piece.low, row)));
      const [x1, y1] = shift(turn(put(piece.right, piece.high, row)));
      return { name: frame.name, part: frame.parts[0], level: frame.level, first: i === 0, x: x0 - pad(frame), y: y0 - piece.head,
        w: x1 - x0 + 2 * pad(frame), h: y1 - y0 + piece.head + pad(frame) };
    })),
  };
}

/** Unfolded blocks with what is seen of them; `level` counts frames from the innermost. */
function framesOf(drawing, shut, view, unframed) {
  const found = new Map();
  view.parts.forEach((part, p) => {
    for (const block of framesAround(drawing, shut, part)) {
      if (!found.has(block)) found.set(block, { block, name: drawing.blocks[block].name, parts: [], pieces: [] });
      found.get(block).parts.push(p);
    }
  });
  // A frame round nearly everything says nothing.
  const frames = [...found.values()].filter((frame) => frame.parts.length < 0.7 * view.parts.length && !unframed.has(frame.block));
  for (const frame of [...frames].reverse()) {
    const inner = frames.filter((other) => other !== frame && isInside(drawing, other.block, frame.block));
    frame.inner = inner;
  }
  const level = (frame) => (frame.level = frame.level || 1 + Math.max(0, ...frame.inner.map(level)));
  frames.forEach(level);
  return frames.sort((one, two) => two.level - one.level);
}

function isInside(drawing, block, around) {
  for (let b = drawing.blocks[block].parent; b >= 0; b = drawing.blocks[b].parent) if (b === around) return true;
  return false;
}

/** Blocks whose frames would lie on each other, or on what is not in them: branches side by side. */
function clashing(drawing, frames, boxes) {
  const spans = frames.map((frame) => {
    const own = frame.parts.map((p) => boxes[p]);
    return { frame, from: Math.min(...own.map((box) => box.column)), to: Math.max(...own.map((box) => box.column)),
      low: Math.min(...own.map((box) => box.v)), high: Math.max(...own.map((box) => box.v)) };
  });
  const found = new Set();
  for (const one of spans) {
    const meets = spans.some((two) => two !== one && one.from <= two.to && two.from <= one.to
      && !isInside(drawing, one.frame.block, two.frame.block) && !isInside(drawing, two.frame.block, one.frame.block));
    const holds = boxes.some((box, p) => box.column >= one.from && box.column <= one.to
      && box.v >= one.low && box.v <= one.high && !one.frame.parts.includes(p));
    if (meets || holds) found.add(one.frame.block);
  }
  return found;
}

/** Ranks along u: what stands one above the other. */
function columnsOf(boxes) {
  const centres = [...new Set(boxes.map((box) => Math.round(box.u)))].sort((a, b) => a - b);
  boxes.forEach((box) => (box.column = centres.indexOf(Math.round(box.u))));
  return centres.map((u, c) => {
    const own = boxes.filter((box) => box.column === c);
    return { u, left: Math.min(...own.map((box) => box.u - box.du / 2)), right: Math.max(...own.map((box) => box.u + box.du / 2)) };
  });
}

/** Where rows end: full rows, few edges from row to row, and blocks that stay in one piece. */
function rowsOf(columns, crossing, room, frames, boxes) {
  const n = columns.length;
  const splits = columns.map((_, c) => frames.filter((frame) => {
    const own = frame.parts.map((p) => boxes[p].column);
    return Math.min(...own) <= c && Math.max(...own) > c;
  }).length);
  const best = [{ cost: 0, from: -1 }];
  for (let end = 1; end <= n; end++) {
    best[end] = { cost: Infinity, from: end - 1 };
    for (let first = end - 1; first >= 0; first--) {
      const wide = columns[end - 1].right - columns[first].left;
      if (wide > room && first < end - 1) break;
      const slack = Math.max(0, 1 - wide / room);
      const last = end === n;
      const lonely = last && first > 0 && end - first === 1 ? 0.6 : 0;
      const broken = last ? 0 : 0.5 * (crossing[end - 1] - 1) + 0.4 * splits[end - 1];
      const cost = best[first].cost + (last ? 0.1 : 0) + (last ? 0 : slack * slack) + 0.25 + broken + lonely;
      if (cost < best[end].cost) best[end] = { cost, from: first };
    }
  }
  const rows = [];
  for (let end = n; end > 0; end = best[end].from) rows.unshift([best[end].from, end]);
  return rows;
}

/** The height (v) of an edge at each column that it passes: [[column, v], ...]. */
function laneOf(points, from, to, columns) {
  const lane = [[from.column, from.v]];
  for (let c = from.column + 1; c < to.column; c++) {
    const bend = points.reduce((one, two) => (Math.abs(two.x - columns[c].u) < Math.abs(one.x - columns[c].u) ? two : one));
    lane.push([c, bend.y]);
  }
  lane.push([to.column, to.v]);
  return lane;
}

/** The corners of an edge. Heights change between columns; from row to row it goes round the end. */
function routeOf(lane, from, to, columns, places, rowOf, strand) {
  const points = [{ u: from.u + from.du / 2, v: from.v }];
  for (let i = 0; i + 1 < lane.length; i++) {
    const [c, v] = lane[i];
    const [next, w] = lane[i + 1];
    const here = places[rowOf[c]];
    const there = places[rowOf[next]];
    const last = i + 2 === lane.length;
    const up = last ? to.v : w + there.dv;
    const now = i === 0 ? from.v : v + here.dv;
    if (here === there) {
      const middle = (columns[c].right + columns[next].left) / 2 + here.du;
      points.push({ u: middle, v: now }, { u: middle, v: up });
    } else {
      if (!here.strands.has(strand(c))) here.strands.set(strand(c), here.strands.size);
      const number = here.strands.get(strand(c));
      const right = columns[here.end - 1].right + here.du + 12 + 6 * number;
      const left = columns[there.first].left + there.du - 14 - 6 * (here.broken - 1 - number);
      const level = here.bottom + 11 + 7 * number;
      points.push({ u: right, v: now }, { u: right, v: level }, { u: left, v: level }, { u: left, v: up });
    }
  }
  points.push({ u: to.u - to.du / 2, v: to.v });
  return points;
}

/** What of a frame lies in the columns from `first` to before `end`: its parts, and edges to them. */
function pieceOf(frame, boxes, lanes, edges, first, end) {
  const own = frame.parts.map((p) => boxes[p]).filter((box) => box.column >= first && box.column < end);
  if (!own.length) return null;
  const columns = own.map((box) => box.column);
  const [from, to] = [Math.min(...columns), Math.max(...columns)];
  let low = Math.min(...own.map((box) => box.v - box.dv / 2));
  let high = Math.max(...own.map((box) => box.v + box.dv / 2));
  lanes.forEach((lane, e) => {
    if (!frame.parts.includes(edges[e][1])) return;
    for (const [c, v] of lane.slice(1, -1)) if (c >= from && c <= to) [low, high] = [Math.min(low, v - 4), Math.max(high, v + 4)];
  });
  return { low, high, left: Math.min(...own.map((box) => box.u - box.du / 2)), right: Math.max(...own.map((box) => box.u + box.du / 2)) };
}

/** Corners as a path with rounded bends. */
function roundPath(points, radius = 7) {
  const clean = points.filter((p, i) => !i || Math.hypot(p[0] - points[i - 1][0], p[1] - points[i - 1][1]) > 0.5);
  let d = `M${clean[0][0].toFixed(1)} ${clean[0][1].toFixed(1)}`;
  for (let i = 1; i < clean.length; i++) {
    const [x, y] = clean[i];
    if (i === clean.length - 1) {
      d += `L${x.toFixed(1)} ${y.toFixed(1)}`;
      break;
    }
    const toward = (q, r) => {
      const length = Math.hypot(q[0] - x, q[1] - y);
      const share = Math.min(r, length / 2) / length;
      return `${(x + (q[0] - x) * share).toFixed(1)} ${(y + (q[1] - y) * share).toFixed(1)}`;
    };
    d += `L${toward(clean[i - 1], radius)}Q${x.toFixed(1)} ${y.toFixed(1)} ${toward(clean[i + 1], radius)}`;
  }
  return d;
}
