// Texts in another language. English is what the scripts and Python write, and is the key; a catalogue
// from Python says what stands there instead. Numbers are left out of the keys ("{} of {} units"), and
// names too ("{a} was removed"); a text of several sentences is looked up sentence by sentence.
// What the catalogue does not have stays English.

const LANGUAGE_KEY = "prunevis-language";
const A_NUMBER = /(?<![\w.])\d+(?:[.,]\d+)*(?![\w]*[a-z]\w*\.)/g;
const HOLE = /\{(\w*)\}/g;
/** Most texts that are remembered: a moved slider makes new ones all the time. */
const MOST_REMEMBERED = 4000;
/** Elements whose text is no language: code, and what a person typed. */
const RAW = new Set(["PRE", "CODE", "TEXTAREA"]);
/** Attributes that are read by people. */
const READ = new Set(["title", "aria-label", "aria-valuetext", "aria-description", "placeholder", "alt", "label"]);

const ENGLISH = { language: "en", exact: new Map(), patterns: [], remembered: new Map(), missed: new Set() };
let pvTexts = ENGLISH;
const pvReaders = new Set();

/** The key that a text is looked up by, and the numbers that were taken out. */
function keyOf(text) {
  const numbers = [];
  const key = text.replace(/[\u00a0\u202f]/g, " ").replace(A_NUMBER, (n) => {
    numbers.push(n);
    return "{}";
  });
  return { key, numbers };
}

/** "10,000.5" -> "10.000,5" where the language writes numbers so. */
function localNumber(n) {
  if (pvTexts.language === "en") return n;
  if (/^\d{1,3}(,\d{3})+(\.\d+)?$/.test(n)) return n.replace(/[.,]/g, (c) => (c === "," ? "." : ","));
  return /^\d+\.\d+$/.test(n) ? n.replace(".", ",") : n;
}

function filled(text, numbers, names) {
  let next = 0;
  return text.replace(HOLE, (hole, name) => {
    if (name === "") return localNumber(numbers[next++] ?? "");
    if (/^\d+$/.test(name)) return localNumber(numbers[Number(name) - 1] ?? "");
    return names[name] ?? hole;
  });
}

/** A text as the catalogue has it whole, or null. */
function looked(core, deep = 0) {
  const { key, numbers } = keyOf(core);
  const found = pvTexts.exact.get(key);
  if (found !== undefined) return filled(found, numbers, {});
  const first = pvTexts.patterns.get(key.slice(0, 2)) || [];
  for (const { test, holes, text } of [...first, ...(pvTexts.patterns.get("") || [])]) {
    const match = test.exec(key);
    if (!match) continue;
    // The numbers belong to the holes in the order of the text, inside names as well.
    let used = 0;
    const own = [];
    const names = {};
    holes.forEach((name, i) => {
      const part = match[i + 1];
      const count = (part.match(/\{\}/g) || []).length;
      const inside = numbers.slice(used, used + count);
      used += count;
      if (name === "") own.push(...inside);
      else {
        let k = 0;
        const plain = part.replace(/\{\}/g, () => inside[k++]);
        names[name] = deep < 2 ? translated(plain, deep + 1, true) : plain;
      }
    });
    return filled(text, own, names);
  }
  return null;
}

const SENTENCES = /(?<=(?<!\bal)[.!?:])\s+(?=[\p{Lu}\d"“‘(])/u;
const PARTS = / · |; /;

function translated(text, deep = 0, name = false) {
  const [, before, core, after] = /^(\s*)([\s\S]*?)(\s*)$/.exec(text);
  if (!/\p{L}{2}/u.test(core)) return before + core.replace(A_NUMBER, localNumber) + after;
  const found = looked(core, deep);
  if (found !== null) return before + found + after;
  const missing = pvTexts.missed.size;
  for (const [cut, join] of [[SENTENCES, " "], [PARTS, core.includes(" · ") ? " · " : "; "]]) {
    const parts = core.split(cut);
    if (parts.length > 1) {
      const all = parts.map((part) => translated(part, deep, name));
      if (pvTexts.missed.size > missing) pvTexts.missed.add(keyOf(core).key);
      return before + all.join(join) + after;
    }
  }
  if (!name) pvTexts.missed.add(keyOf(core).key);
  return name ? text : before + core.replace(A_NUMBER, localNumber) + after;
}

/** A text in the page's language. */
function tr(text) {
  if (pvTexts === ENGLISH || text.length > 5000) return text;
  let found = pvTexts.remembered.get(text);
  if (found === undefined) {
    found = translated(text);
    if (pvTexts.remembered.size > MOST_REMEMBERED) pvTexts.remembered.clear();
    pvTexts.remembered.set(text, found);
  }
  return found;
}

/** Make a catalogue ready: `entries` maps English to the language's text. */
function catalogueOf(language, entries) {
  const exact = new Map();
  const patterns = new Map();
  for (const [key, text] of Object.entries(entries)) {
    if (!/\{[a-z]\w*\}/.test(key)) {
      exact.set(key, text);
      continue;
    }
    const holes = [];
    const source = key.split(/(\{\w*\})/).map((part) => {
      if (!/^\{\w*\}$/.test(part)) return part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      const name = part.slice(1, -1);
      holes.push(name);
      return name === "" ? "(\\{\\})" : "(.+?)";
    }).join("");
    const start = key.slice(0, 2).includes("{") ? "" : key.slice(0, 2);
    if (!patterns.has(start)) patterns.set(start, []);
    patterns.get(start).push({ test: new RegExp(`^${source}$`, "su"), holes, text, wide: key.length });
  }
  // The longer a pattern, the more it says.
  for (const list of patterns.values()) list.sort((a, b) => b.wide - a.wide);
  return { language, exact, patterns, remembered: new Map(), missed: new Set() };
}

/** What a person chose before, or the address asks for; null for nothing. */
function wantedLanguage() {
  const asked = new URLSearchParams(window.location.search).get("lang");
  if (asked) return asked;
  try {
    return window.localStorage.getItem(LANGUAGE_KEY);
  } catch {
    return null; // a frame that may keep nothing
  }
}

function keepLanguage(name) {
  try {
    window.localStorage.setItem(LANGUAGE_KEY, name);
  } catch {
    // it is asked for again next time
  }
}

/** Follow the language of `model`; `again` builds the page anew. All pages of a notebook speak the same. */
function followLanguage(model, again) {
  const take = () => {
    const texts = model.get("texts") || {};
    if (!texts.language || texts.language === pvTexts.language) return;
    pvTexts = texts.language === "en" ? ENGLISH : catalogueOf(texts.language, texts.entries || {});
    for (const reader of pvReaders) reader();
  };
  take();
  const wanted = wantedLanguage();
  const known = ((model.get("texts") || {}).languages || []).map((l) => l.name);
  if (wanted && wanted !== pvTexts.language && known.includes(wanted)) model.send({ action: "language", name: wanted });
  pvReaders.add(again);
  model.on("change:texts", take);
  return () => {
    pvReaders.delete(again);
    model.off("change:texts", take);
  };
}

/** The menu of languages; nothing where there is only one. */
function languageMenu(bus) {
  const texts = bus.slice("texts");
  const languages = texts.languages || [];
  if (languages.length < 2) return null;
  const select = h("select", { class: "pv-language", "aria-label": "Language", "data-testid": "language",
    onchange: () => {
      keepLanguage(select.value);
      bus.send("language", { name: select.value });
    } }, languages.map((l) => h("option", { value: l.name, lang: l.name }, l.label)));
  select.value = pvTexts.language;
  return select;
}
