// The views, as tabs. A hidden view costs nothing: its updates wait until it is shown.

const TABS = [
  ["network", "Network", networkPanel],
  ["weights", "Weights", weightsPanel],
  ["neurons", "Neurons", neuronsPanel],
  ["redundancy", "Redundancy", redundancyPanel],
  ["tradeoff", "Trade-off", tradeoffPanel],
  ["criteria", "Criteria", criteriaPanel],
  ["layers", "Layers", layersPanel],
  ["fine_tune", "Fine-tune", fineTunePanel],
  ["history", "History", historyPanel],
];
const OF_ONE_LAYER = new Set(["network", "weights", "neurons", "redundancy", "fine_tune"]);

function tabsPanel(root, bus) {
  const list = h("div", { class: "pv-tabs", role: "tablist", "aria-label": "Views" });
  const select = h("select", { "data-testid": "layer", onchange: () => bus.send("layer", { name: select.value }) });
  const picker = h("label", { class: "pv-picker" }, h("span", null, "Layer"), select);
  const card = h("section", { class: "pv-card pv-views", "aria-label": "Views" },
    h("div", { class: "pv-tabs-line" }, list, picker));
  const parts = TABS.map(([name, text, build]) => {
    const id = freshId("tab");
    const panelId = freshId("panel");
    const tab = h("button", { type: "button", role: "tab", id, "aria-controls": panelId, "data-testid": `tab-${name}`,
      onclick: () => show(name) }, text);
    const panel = h("div", { role: "tabpanel", id: panelId, "aria-labelledby": id, tabindex: "0", hidden: true,
      class: "pv-panel", "data-testid": `panel-${name}` });
    list.append(tab);
    card.append(panel);
    build(panel, bus);
    return { name, tab, panel };
  });
  root.append(card);

  function show(name) {
    for (const part of parts) {
      const on = part.name === name;
      setAttr(part.tab, "aria-selected", on ? "true" : "false");
      part.tab.tabIndex = on ? 0 : -1;
      setHidden(part.panel, !on);
      if (on && list.scrollWidth > list.clientWidth) {
        list.scrollLeft = part.tab.offsetLeft - (list.clientWidth - part.tab.offsetWidth) / 2;
      }
    }
    setAttr(picker, "data-off", !OF_ONE_LAYER.has(name));
    bus.show(name);
  }
  bus.showTab = (name) => parts.some((p) => p.name === name) && show(name);
  bus.openTab = (name) => {
    show(name);
    const part = parts.find((p) => p.name === name);
    part.tab.focus({ preventScroll: true });
    const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
    card.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
  };
  list.addEventListener("keydown", (event) => {
    const now = parts.findIndex((p) => p.name === bus.tab);
    const to = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: parts.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const part = parts[(to + parts.length) % parts.length];
    show(part.name);
    part.tab.focus();
  });
  bus.watch(["controls"], () => {
    const c = bus.slice("controls");
    const layers = (c.layers || []).map((l) => ({ name: l.name, label: l.name }));
    setOptions(select, layers, c.layer);
    setHidden(picker, !layers.length);
  });
  show(bus.startTab || "weights");
}
