// The steps that were applied, as a tree: a button a step, and lines from each to what came of it.

const STEP_SIZE = { w: 148, h: 70, across: 178, down: 88, top: 12, left: 4 };

const stepName = (node) => node.name || node.text;

/** What a step left, for those who read and those who hear. */
function stepButton(node, base, pick) {
  const left = base > 0 ? node.params / base : 1;
  const right = known(node.accuracy) ? `${percent(node.accuracy)} %` : "measuring…";
  const bar = h("i", { style: `transform:scaleX(${Math.min(1, left).toFixed(4)})` });
  return h("button", { type: "button", class: "pv-step", "data-testid": "step", "data-number": node.number, tabindex: -1,
    "data-off": !node.on_path, "data-present": node.present, "aria-current": node.present ? "step" : null,
    title: node.text, onclick: () => pick(node.number),
    style: `left:${STEP_SIZE.left + node.column * STEP_SIZE.across}px;top:${STEP_SIZE.top + node.row * STEP_SIZE.down}px` },
    node.present ? h("b", { class: "pv-step-now" }, "now") : null,
    h("span", { class: "pv-step-name pv-ellipsis" }, stepName(node)),
    h("span", { class: "pv-step-right" }, h("strong", null, right), " right"),
    h("span", { class: "pv-step-foot" }, h("span", { class: "pv-step-bar", "aria-hidden": "true" }, bar),
      h("span", null, `${share(left)} %`, unheard(" of the parameters"), " left")));
}

function stepLines(nodes) {
  const of = new Map(nodes.map((n) => [n.number, n]));
  const at = (n) => [STEP_SIZE.left + n.column * STEP_SIZE.across, STEP_SIZE.top + n.row * STEP_SIZE.down + STEP_SIZE.h / 2];
  return nodes.filter((n) => of.has(n.parent)).map((node) => {
    const [x0, y0] = at(of.get(node.parent));
    const [x1, y1] = at(node);
    const from = x0 + STEP_SIZE.w;
    const middle = (from + x1) / 2;
    return s("path", { d: `M${from},${y0} C${middle},${y0} ${middle},${y1} ${x1},${y1}`, "data-off": !node.on_path });
  });
}

/** The tree; `pick(number)` is called when a person picks a step. */
function stepTree(pick) {
  const lines = s("svg", { class: "pv-step-lines", "aria-hidden": "true" });
  const stage = h("div", { class: "pv-step-stage", role: "group", "data-testid": "step-tree",
    "aria-label": "Steps as a tree, the network as it came on the left. Arrow keys go along it." });
  const root = h("div", { class: "pv-step-tree" }, stage);
  let nodes = [];
  let shown = "";
  let picked = null;
  const buttons = () => [...stage.querySelectorAll(".pv-step")];
  const button = (number) => buttons().find((b) => Number(b.dataset.number) === number);
  const mark = () => {
    for (const b of buttons()) {
      const on = Number(b.dataset.number) === picked;
      setAttr(b, "aria-pressed", on ? "true" : "false");
      b.tabIndex = on ? 0 : -1;
    }
  };
  stage.addEventListener("keydown", (event) => {
    const here = document.activeElement && document.activeElement.dataset ? Number(document.activeElement.dataset.number) : NaN;
    const node = nodes.find((n) => n.number === here);
    if (!node) return;
    const column = nodes.filter((n) => n.column === node.column).sort((a, b) => a.row - b.row);
    const children = nodes.filter((n) => n.parent === node.number).sort((a, b) => a.row - b.row);
    const next = {
      ArrowLeft: () => nodes.find((n) => n.number === node.parent),
      ArrowRight: () => children.find((n) => n.on_path) || children[0],
      ArrowUp: () => column[column.indexOf(node) - 1],
      ArrowDown: () => column[column.indexOf(node) + 1],
      Home: () => nodes.find((n) => n.parent === null),
      End: () => nodes.find((n) => n.present),
    }[event.key];
    if (!next) return;
    event.preventDefault();
    const to = next();
    if (!to) return;
    pick(to.number);
    button(to.number).focus();
  });
  return {
    root,
    set(next, chosen) {
      picked = chosen;
      const signature = JSON.stringify(next);
      if (signature !== shown) {
        shown = signature;
        nodes = next;
        const focused = document.activeElement && stage.contains(document.activeElement);
        const base = nodes.length ? nodes[0].params : 0;
        const width = STEP_SIZE.left * 2 + STEP_SIZE.w + STEP_SIZE.across * Math.max(0, ...nodes.map((n) => n.column));
        const height = STEP_SIZE.top + 4 + STEP_SIZE.h + STEP_SIZE.down * Math.max(0, ...nodes.map((n) => n.row));
        stage.style.width = `${width}px`;
        stage.style.height = `${height}px`;
        setAttr(lines, "viewBox", `0 0 ${width} ${height}`);
        lines.replaceChildren(...stepLines(nodes));
        stage.replaceChildren(lines, ...nodes.map((n) => stepButton(n, base, pick)));
        if (focused && button(picked)) button(picked).focus({ preventScroll: true });
      }
      mark();
    },
    /** Bring a step into the box's own sight, never moving the page. */
    reveal(number) {
      const node = button(number);
      if (!node) return;
      const far = node.offsetLeft + node.offsetWidth + 8 - root.clientWidth;
      if (root.scrollLeft < far) root.scrollLeft = far;
      if (root.scrollLeft > node.offsetLeft) root.scrollLeft = Math.max(0, node.offsetLeft - 8);
    },
  };
}
