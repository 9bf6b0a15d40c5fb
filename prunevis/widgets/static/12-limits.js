// The last line: what one visitor may use, where the page is served to many.

function limitsPanel(root, bus) {
  const line = h("p", { class: "pv-limits", "data-testid": "limits", hidden: true });
  root.append(line);
  bus.watch(["head"], () => {
    const { limits } = bus.slice("head");
    setText(line, limits || "");
    setHidden(line, !limits);
  });
}
