// Where the cost sits, layer by layer, and how much each layer can lose on its own.

function layersPanel(root, bus) {
  const costs = pngImage(bus, "pv-figure");
  const costsText = h("p", { class: "pv-quiet" });
  const costsEmpty = emptyState("Adding up the layers…");
  const picture = pngImage(bus, "pv-figure");
  const text = h("p", { class: "pv-quiet" });
  const empty = emptyState("Each layer is pruned on its own, a little and a lot, and the accuracy is estimated each time. Nothing is changed.");
  const scan = h("button", { type: "button", class: "pv-button", "data-testid": "scan", onclick: () => bus.send("sensitivity") });
  const cancel = h("button", { type: "button", class: "pv-button", "data-testid": "scan-cancel", hidden: true,
    onclick: () => bus.send("cancel", { name: "scan" }) }, "Cancel");
  const bar = h("div", { class: "pv-progress pv-endless", role: "progressbar", "aria-label": "Scanning the layers", hidden: true }, h("i"));
  root.append(h("div", { class: "pv-kinds" },
    h("section", { class: "pv-kind" }, h("h3", { class: "pv-h" }, "Where parameters and FLOPs sit"), costs.root, costsEmpty.root, costsText),
    h("section", { class: "pv-kind" }, h("h3", { class: "pv-h" }, "How much each layer can lose on its own"),
      picture.root, empty.root, text, bar, h("div", { class: "pv-actions" }, scan, cancel))));
  bus.watch(["layers_view"], () => {
    const view = bus.slice("layers_view");
    const scanned = view.sensitivity || { state: "none" };
    const running = scanned.state === "running";
    costs.set(view.png, view.alt);
    setHidden(costsEmpty.root, !!view.png);
    setText(costsText, view.text);
    picture.set(scanned.png, scanned.alt);
    setHidden(empty.root, !!scanned.png);
    setText(text, scanned.text);
    setHidden(text, !scanned.text);
    setHidden(bar, !running);
    setHidden(cancel, !running);
    scan.disabled = running;
    setText(scan, running ? "Scanning…" : scanned.state === "done" ? "Scan again" : "Scan the layers");
  }, "layers");
}
