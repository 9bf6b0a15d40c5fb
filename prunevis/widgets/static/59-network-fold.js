// The drawn network without its looks: nodes from columns, and folding.
// `prunevis.graph.drawing.fold` is the same folding in Python; a test holds the two together.

/** The slice's columns as objects; null while there is none. Throws where edges lead nowhere. */
function readDrawing(slice) {
  if (!Array.isArray(slice.kind) || !slice.kind.length) return null;
  const count = slice.kind.length;
  if (!slice.edges.every(([a, b]) => 0 <= a && a < b && b < count)) throw new Error("edges out of order");
  const columns = ["kind", "name", "block", "group", "what", "place", "units", "weights", "params", "macs"];
  const nodes = slice.kind.map((_, i) => Object.fromEntries(columns.map((c) => [c, slice[c][i]])));
  const mates = slice.groups.map(() => []);
  nodes.forEach((node) => node.kind === "layer" && mates[node.group] && mates[node.group].push(node.name));
  let ties = 0;
  const groups = slice.groups.map((group, i) => {
    const tied = mates[i].length > 1;
    return { ...group, layers: mates[i], letter: tied ? letterOf(ties++) : "" };
  });
  return { ...slice, nodes, groups };
}

/** 0 -> "A", 25 -> "Z", 26 -> "AA" */
function letterOf(n) {
  const last = String.fromCharCode(65 + (n % 26));
  return n < 26 ? last : letterOf(Math.floor(n / 26) - 1) + last;
}

/** What is seen while the blocks named in `shut` are folded: parts, and edges between them. */
function foldDrawing(drawing, shut) {
  const outermost = [];
  drawing.blocks.forEach((block, i) => {
    const around = block.parent < 0 ? -1 : outermost[block.parent];
    outermost.push(around < 0 && shut.has(block.name) ? i : around);
  });
  const found = new Map();
  drawing.nodes.forEach((node, i) => {
    const around = node.block < 0 ? -1 : outermost[node.block];
    const key = around < 0 ? `node ${i}` : `block ${around}`;
    if (!found.has(key)) found.set(key, { block: around, members: [] });
    found.get(key).members.push(i);
  });
  const parts = [...found.values()];
  const partOf = [];
  parts.forEach((part, p) => part.members.forEach((i) => (partOf[i] = p)));
  const pairs = new Map();
  const put = (a, b) => a !== b && pairs.set(`${a} ${b}`, [a, b]);
  for (const [a, b] of [...drawing.edges, ...drawing.again]) put(partOf[a], partOf[b]);
  const gone = new Set();
  parts.forEach((part, p) => {
    if (part.members.length > 1 || isEnd(drawing.nodes[part.members[0]].kind)) return;
    // A join whose other paths were folded away joins nothing.
    const before = [...pairs.values()].filter(([, b]) => b === p);
    if (before.length !== 1) return;
    gone.add(p);
    pairs.delete(`${before[0][0]} ${p}`);
    for (const [, b] of [...pairs.values()].filter(([a]) => a === p)) {
      pairs.delete(`${p} ${b}`);
      put(before[0][0], b);
    }
  });
  const place = [];
  const left = parts.filter((_, p) => !gone.has(p));
  parts.forEach((_, p) => (place[p] = gone.has(p) ? -1 : left.indexOf(parts[p])));
  const moved = [...pairs.values()].map(([a, b]) => [place[a], place[b]]);
  const alone = drawing.again.filter(([a, b]) => partOf[a] === partOf[b] && parts[partOf[a]].members.length === 1);
  return {
    parts: left,
    edges: moved.filter(([a, b]) => a < b).sort(byPair),
    again: [...moved.filter(([a, b]) => a > b), ...alone.map(([a]) => [place[partOf[a]], place[partOf[a]]])].sort(byPair),
  };
}

const isEnd = (kind) => kind === "input" || kind === "layer" || kind === "output";
const byPair = (one, two) => one[0] - two[0] || one[1] - two[1];
