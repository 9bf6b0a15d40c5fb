// What the network in training looks like: the weights of one layer, survivors and those held at zero,
// and the first layer's mask folded back over the pixels that it reads.

function trainingSight(bus) {
  let seen = null;
  const title = h("span");
  const count = h("span", { class: "pv-number pv-strong" });
  const picture = surface(bus, { role: "img", "data-testid": "training-histogram" }, (c, width, height, colors) => {
    if (seen) drawSurvivors(c, width, height, colors, seen);
  });
  picture.root.classList.add("pv-line-chart");
  const key = h("div", { class: "pv-legend" }, h("span", { class: "pv-key" }, h("i", { class: "pv-key-kept" }), "stays"),
    h("span", { class: "pv-key" }, h("i", { class: "pv-key-outline" }), "as training found it"));
  const histogram = h("figure", { class: "pv-chart" }, h("figcaption", null, title, count), picture.root, key);

  const maskTitle = h("span");
  const canvas = h("canvas", { class: "pv-mask", role: "img", "data-testid": "training-mask" });
  const range = h("p", { class: "pv-quiet" });
  const mask = h("figure", { class: "pv-chart" }, h("figcaption", null, maskTitle), canvas, range);
  return {
    root: h("div", { class: "pv-charts" }, histogram, mask),
    set(next) {
      seen = next;
      if (!seen) return;
      const gone = seen.total ? seen.gone / seen.total : 0;
      setText(title, `Weights of ${seen.layer}`);
      setText(count, `${percent(gone)} % gone`);
      setAttr(picture.canvas, "aria-label", `Histogram of the ${integer(seen.total - seen.gone)} weights of ${seen.layer} that stay, at step ${integer(seen.step)}; `
        + `${integer(seen.gone)} of ${integer(seen.total)} are held at zero`);
      picture.draw();
      setHidden(mask, !seen.pixels);
      if (seen.pixels) drawMask(seen.pixels);
    },
  };

  function drawMask(pixels) {
    const { rows, columns, values } = pixels;
    const colors = colorsOf(bus);
    canvas.width = columns;
    canvas.height = rows;
    const c = canvas.getContext("2d");
    // The range of what is shown, so that what is left can be told apart at any sparsity.
    const most = Math.max(...values, 1);
    const least = Math.min(...values, most);
    c.fillStyle = colors.card;
    c.fillRect(0, 0, columns, rows);
    c.fillStyle = colors.kept;
    values.forEach((n, i) => {
      c.globalAlpha = most > least ? (n - least) / (most - least) : 1;
      c.fillRect(i % columns, Math.floor(i / columns), 1, 1);
    });
    setText(maskTitle, `Weights left per pixel, ${pixels.layer}`);
    setText(range, `From ${integer(least)} (pale) to ${integer(most)} (full) of ${integer(pixels.most)} a pixel.`);
    const middle = centre(pixels);
    setAttr(canvas, "aria-label", `Weights of ${pixels.layer} left for each of ${rows} by ${columns} pixels, from ${integer(least)} to ${integer(most)} of ${integer(pixels.most)}; `
      + `on average ${middle.inside.toFixed(1)} in the middle quarter, ${middle.outside.toFixed(1)} outside of it`);
  }
}

/** Weights per pixel in the middle quarter of an image, and outside of it. */
function centre({ rows, columns, values }) {
  const sums = { inside: 0, outside: 0 };
  const counts = { inside: 0, outside: 0 };
  values.forEach((n, i) => {
    const row = Math.floor(i / columns);
    const column = i % columns;
    const inside = row >= rows / 4 && row < (3 * rows) / 4 && column >= columns / 4 && column < (3 * columns) / 4;
    sums[inside ? "inside" : "outside"] += n;
    counts[inside ? "inside" : "outside"] += 1;
  });
  return { inside: sums.inside / Math.max(1, counts.inside), outside: sums.outside / Math.max(1, counts.outside) };
}

function drawSurvivors(c, width, height, colors, seen) {
  const { edges, kept, began } = seen;
  const bins = kept.length;
  const floor = height - 24;
  const top = 8;
  const x = (v) => 6 + ((v - edges[0]) / (edges[bins] - edges[0] || 1)) * (width - 12);
  const most = Math.max(1, ...kept);
  // What it began with may be far taller once much is gone: it is cut off above.
  const tall = (n) => Math.min(1.08, n / most) * (floor - top);
  c.fillStyle = colors.kept;
  c.beginPath();
  for (let b = 0; b < bins; b++) {
    const from = x(edges[b]);
    c.rect(from, floor - tall(kept[b]), Math.max(x(edges[b + 1]) - from - (width / bins > 5 ? 1 : 0), 0.7), tall(kept[b]));
  }
  c.fill();
  outline(c, began, edges, x, (n) => floor - tall(n), floor, colors);
  axis(c, edges[0], edges[bins], x, floor, width, colors);
}
