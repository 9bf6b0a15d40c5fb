// Numbers as people read them. Everything takes numbers and returns text; "–" where nothing is known.

const UNKNOWN = "–";
const known = (x) => typeof x === "number" && Number.isFinite(x);

const GROUPED = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** 431080 -> "431,080" */
const integer = (x) => (known(x) ? GROUPED.format(Math.round(x)) : UNKNOWN);

/** 0.8712 -> "87.1"; a true minus sign, and never "100.0" for what is not everything. */
function percent(x, digits = 1) {
  if (!known(x)) return UNKNOWN;
  let text = (100 * x).toFixed(digits);
  if (x < 1 && Number(text) >= 100) text = (100 - 10 ** -digits).toFixed(digits);
  return text.replace("-", "−");
}

/** 0.583 -> "58"; small shares keep what distinguishes them from nothing: "0.4", "<0.1". */
function share(x) {
  if (!known(x)) return UNKNOWN;
  if (x > 0 && x < 0.001) return "<0.1";
  if ((x > 0 && x < 0.01) || (x > 0.99 && x < 1)) return percent(x, 1);
  return percent(x, 0);
}

const SCALES = {
  bytes: [["GB", 1e9], ["MB", 1e6], ["kB", 1e3], ["B", 1]],
  count: [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3], ["", 1]],
};

/** scaled(1724320, "bytes") -> ["1.72", "MB"]; the unit of `like` is kept down to a twentieth. */
function scaled(x, kind, like = x) {
  if (!known(x)) return [UNKNOWN, ""];
  const table = SCALES[kind];
  const find = (v) => table.find(([, size]) => Math.abs(v) >= size) || table[table.length - 1];
  let [unit, size] = find(known(like) ? like : x);
  if (Math.abs(x) < size / 20) [unit, size] = find(x);
  const v = x / size;
  const digits = size === 1 ? 0 : Math.abs(v) < 10 ? 2 : Math.abs(v) < 100 ? 1 : 0;
  return [v.toFixed(digits), unit];
}

const scaledText = (x, kind, like) => scaled(x, kind, like).filter(Boolean).join("\u00a0");

/** The same for an axis, without idle zeros: "5 kB", "0.5 M". */
const tickText = (x, kind) => {
  const [value, unit] = scaled(x, kind);
  return unit ? `${Number(value)}\u00a0${unit}` : String(Number(value));
};

/** 3.82 -> "3.8×", 128.3 -> "128×" */
const ratio = (before, now) => {
  if (!known(before) || !known(now)) return null;
  if (now <= 0) return null;
  const r = before / now;
  return `${r.toFixed(r < 100 ? 1 : 0)}×`;
};

/** A weight or a threshold, three significant figures and no exponent where it can be helped. */
function small(x) {
  if (!known(x)) return UNKNOWN;
  if (x === 0) return "0";
  const magnitude = Math.abs(x);
  const text = magnitude < 1e-4 ? x.toExponential(1) : x.toPrecision(magnitude < 1 ? 2 : 3);
  return text.replace("-", "−");
}

/** Round steps (1, 2 or 5 times a power of ten) that cut [low, high] into about n. */
function ticks(low, high, n = 4) {
  const raw = (high - low) / n;
  if (!(raw > 0)) return [];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((m) => m >= raw * 0.99);
  const out = [];
  for (let t = Math.ceil(low / step - 1e-9) * step; t <= high + step * 1e-9; t += step) {
    out.push(Math.abs(t) < step * 1e-9 ? 0 : t);
  }
  return out;
}

/** 1, 2, 5, 10, 20, ... between low and high, for a logarithmic axis. */
function logTicks(low, high) {
  const out = [];
  for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++) {
    for (const m of [1, 2, 5]) {
      const t = m * 10 ** p;
      if (t >= low * 0.999 && t <= high * 1.001) out.push(t);
    }
  }
  return out.length > 7 ? out.filter((t) => /^1/.test(String(t.toExponential()))) : out;
}

const plural = (n, one, many = `${one}s`) => `${integer(n)} ${n === 1 ? one : many}`;
