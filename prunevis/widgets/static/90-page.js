// The page as a whole: places the panels, keeps keys to itself, and takes everything down again.

/** JupyterLab acts on plain keys wherever the focus is; inside the page they mean the page. */
function keepKeys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key;
  if (key.length === 1 || key.startsWith("Arrow") || ["Home", "End", "PageUp", "PageDown", "Enter", "Backspace", "Delete"].includes(key)) {
    event.stopPropagation();
  }
}

/** Build the page, showing `tab`; returns what takes it down and says which tab was open. */
function build(model, el, tab) {
  const main = h("div", { class: "pv-main" });
  const side = h("div", { class: "pv-card pv-side", role: "region", "aria-label": "What to prune" });
  const top = h("div", { class: "pv-top" });
  const page = h("div", { class: "pv-page" }, top, h("div", { class: "pv-columns" }, main, side));
  const root = h("div", { class: "pv", "data-testid": "page", "data-state": "unknown", "data-lm-suppress-shortcuts": "true" }, page);
  root.addEventListener("keydown", keepKeys);

  setAttr(root, "lang", pvTexts.language);
  const bus = makeBus(model, root);
  bus.startTab = tab;
  watchTheme(bus);
  headerPanel(top, bus);
  sharePanel(top, bus);
  problemPanel(top, bus);
  lostPanel(top, bus);
  scoreboardPanel(main, bus);
  heartPanel(main, bus);
  tabsPanel(main, bus);
  controlsPanel(side, bus);
  limitsPanel(page, bus);
  announcer(top, bus);
  // The left column comes last by keyboard, as on a narrow page: the slider and the views are the heart.
  setAttr(side, "tabindex", "-1");
  page.prepend(h("button", { type: "button", class: "pv-skip", "data-testid": "skip", onclick: () => {
    side.focus({ preventScroll: true });
    side.scrollIntoView({ block: "nearest" });
  } }, "Skip to what to prune"));

  bus.onMove((at) => {
    const ready = !!at.table && Array.isArray(bus.slice("controls").layers);
    setAttr(root, "data-ready", ready ? "1" : null);
    setAttr(root, "data-k", at.table ? at.k : null);
    setAttr(root, "data-sparsity", at.position.toFixed(4));
    if (at.table) setAttr(root, "data-state", accuracyAt(at).state);
  });
  // The position that the views have caught up with.
  bus.onMove((at) => setAttr(root, "data-drawn", at.table ? at.k : null), { later: true });
  el.append(root);
  bus.flush();
  return () => {
    const open = bus.tab;
    bus.close();
    root.remove();
    return open;
  };
}

function render({ model, el }) {
  let takeDown = null;
  const again = () => {
    if (!takeDown) return;
    // Only one page of several has the menu's focus, and keeps it.
    const chosen = el.querySelector(".pv-language") === document.activeElement;
    takeDown = build(model, el, takeDown());
    if (chosen) el.querySelector(".pv-language")?.focus();
  };
  const leave = followLanguage(model, again);
  takeDown = build(model, el, null);
  return () => {
    leave();
    takeDown();
  };
}

/** What the catalogue of the language does not have, for its tests. */
export const untranslated = () => [...pvTexts.missed];

export default { render };
