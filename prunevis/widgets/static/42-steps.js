// What is done with a position: apply it, train on, take it back. And what has been applied so far.

function stepsPart(root, bus) {
  const button = (name, text, act, kind) =>
    h("button", { type: "button", class: kind || "pv-button", "data-testid": name, onclick: act }, text);
  const apply = button("apply", "Apply", () => bus.send("apply"), "pv-button pv-primary");
  const tune = button("fine-tune", "Fine-tune…", () => bus.openTab("fine_tune"));
  const undo = button("undo", "Undo", () => bus.send("undo"));
  const redo = button("redo", "Redo", () => bus.send("redo"));
  const reset = button("reset", "Reset", () => bus.send("reset"));
  const what = h("span", { class: "pv-quiet pv-apply-text" });
  const trail = h("ol", { class: "pv-trail", "aria-label": "Applied so far", "data-testid": "applied" });
  root.append(h("div", { class: "pv-actions" }, apply, tune, undo, redo, reset, what), trail);

  const allow = (node, can, yes, no) => {
    node.disabled = !can;
    setAttr(node, "title", can ? yes : no);
  };
  const update = (at) => {
    const steps = bus.slice("steps");
    const moved = at.position > 0 || !at.table;
    allow(apply, !!steps.can_apply && moved, steps.apply_text || "Make this the network to go on from",
      moved ? "Not now: see the status line" : "Move the slider first: at 0 % nothing goes");
    allow(undo, !!steps.can_undo, "Take the last step back", "Nothing has been applied yet");
    // Only there while there is something ahead; the focus does not get lost with it.
    if (!steps.can_redo && document.activeElement === redo) undo.focus();
    setHidden(redo, !steps.can_redo);
    setAttr(redo, "title", steps.redo_text);
    allow(reset, !!steps.can_reset, "Back to the network as it came", "This is the network as it came");
    setText(what, steps.can_apply && moved ? steps.apply_text : "");
  };
  bus.watch(["steps", "table"], (at) => {
    update(at);
    const applied = bus.slice("steps").applied || [];
    setHidden(trail, !applied.length);
    trail.replaceChildren(...(applied.length ? ["as it came", ...applied] : []).map((text) => h("li", null, text)));
  });
  bus.onMove(update);
}
