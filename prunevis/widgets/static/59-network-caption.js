// The sentences under the drawn network: which layers leave together, and why.

/** What the drawing is about, in sentences: the layer or block pointed at, or the chosen layer. */
function networkCaption(bus) {
  const title = h("h3", { class: "pv-h" });
  const letters = h("span", { class: "pv-node-tags", "aria-hidden": "true" });
  const text = h("p");
  const reason = h("p", { class: "pv-quiet" });
  const to = (tab, label) => h("button", { type: "button", class: "pv-link", "data-testid": `to-${tab}`, onclick: () => bus.openTab(tab) }, label);
  const links = h("div", { class: "pv-caption-links" }, to("weights", "Its weights"), to("neurons", "Its neurons"));
  const id = freshId("caption");
  const root = h("div", { class: "pv-network-caption", id, "data-testid": "network-caption" }, h("div", { class: "pv-caption-head" }, h("div", { class: "pv-caption-title" }, title, letters), links), text, reason);
  let last = "";
  return {
    root, id,
    set(drawing, fact, rows, byUnit) {
      const empty = !fact || (!fact.layers.length && !fact.groups.length);
      const about = empty ? [] : fact.folded ? fact.ties.slice(0, 2) : fact.groups;
      const row = fact && !fact.folded && rows.get(fact.name);
      const plainly = (sentences) => sentences.replace(/`(?:@(\d+)|([^`]*))`/g, (_, i, name) => (i ? drawing.nodes[i].name : name));
      const own = fact && fact.folded && !fact.ties.length
        ? "No channel in it leaves together with one outside. Open it to see its layers." : "";
      const more = fact && fact.folded && fact.ties.length > 2 ? ` It has ${fact.ties.length - 2} more ties to other layers.` : "";
      const words = empty ? "Point at a layer, or go to it by keyboard, to see which others leave with it and why."
        : about.map((g) => drawing.groups[g].text).join(" ") + own + more;
      const why = row && row.disabled && !plainly(words).includes(row.disabled.slice(0, 60)) ? row.disabled
        : !byUnit && !empty ? "This counts when whole units leave (Remove: Units); single weights become zeros wherever they are." : "";
      const name = empty ? "" : fact.name || (JOINS[fact.kind] ? JOINS[fact.kind][1].split(":")[0] + (fact.place ? ` in ${fact.place}` : "") : "");
      const state = JSON.stringify([name, words, why, empty || !row]);
      if (state === last) return;
      last = state;
      setText(title, name);
      setHidden(title, !name);
      letters.replaceChildren(...(empty ? [] : about.map((g) => drawing.groups[g].letter).filter(Boolean).map((letter) => h("b", null, letter))));
      setHidden(links, empty || !row);
      text.replaceChildren(...withNames(tr(words), drawing.nodes));
      setText(reason, why);
    },
  };
}
