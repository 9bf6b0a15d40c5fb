// Looking up: the position nearest to a sparsity, and what is known of accuracy there.

/** Whether not as much can go as the slider could say: its positions end there. */
function endsEarly(table) {
  const positions = (table && table.sparsity) || [];
  return positions.length > 0 && positions[positions.length - 1] < 0.985;
}

/** Index of the entry of the ascending list `sparsity` that is nearest to `x`. */
function nearest(sparsity, x) {
  let low = 0;
  let high = sparsity.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (sparsity[middle] <= x) low = middle;
    else high = middle;
  }
  return Math.abs(sparsity[high] - x) < Math.abs(x - sparsity[low]) ? high : low;
}

/** What is known of accuracy at index `k`: its state, value, interval and how many images. */
function accuracyAt(at, k = at.k) {
  const curve = at.curve;
  if (!curve || !known(curve.value[k])) return { state: "unknown" };
  const value = curve.value[k];
  if (curve.exact && curve.exact[k]) {
    return { state: "exact", value, low: value, high: value, seen: curve.total, total: curve.total };
  }
  const low = curve.low && known(curve.low[k]) ? curve.low[k] : value;
  const high = curve.high && known(curve.high[k]) ? curve.high[k] : value;
  return { state: "estimate", value, low, high, seen: curve.seen ? curve.seen[k] : null, total: curve.total };
}

/** "exact, 10,000 of 10,000 images" */
function accuracySource(a) {
  if (a.state === "unknown") return "measuring…";
  const of = known(a.total) ? ` of ${integer(a.total)}` : "";
  return a.state === "exact"
    ? known(a.total) ? `exact, ${integer(a.total)}${of}` : "exact"
    : known(a.seen) ? `estimate, ${integer(a.seen)}${of} images` : "estimate";
}
