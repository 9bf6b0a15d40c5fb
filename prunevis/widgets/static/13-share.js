// The recipe of what is shown: copied as a link, saved, opened. On a page for visitors it stands in the
// address too, so that a reload, or another kernel after the first has died, leads back here.

/** So long the page has been at rest before its address changes. */
const ADDRESS_MS = 500;
/** Longest file that is read, in bytes; Python takes no longer one. */
const MOST_RECIPE = 120 * 1024;
const RECIPE = "recipe";
/** Models whose address was read: a page that is drawn again asks for nothing again. */
const readOnce = new WeakSet();

/** The address of this page with another recipe, and all else as it was. */
function addressWith(text) {
  const address = new URL(window.location.href);
  if (text) address.searchParams.set(RECIPE, text);
  else address.searchParams.delete(RECIPE);
  return address;
}

/** Copy text; false where the browser lets nobody. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function saveText(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = h("a", { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** The text of a recipe's file, or an Error in words. */
async function readRecipe(file) {
  if (file.size > MOST_RECIPE) throw new Error(`This file is too long for a recipe: ${integer(file.size)} bytes, at most ${integer(MOST_RECIPE)}.`);
  const text = await file.text();
  try {
    const found = JSON.parse(text);
    if (!found || typeof found !== "object" || !("version" in found)) throw new Error();
  } catch {
    throw new Error("This file holds no recipe. Choose one that was saved here.");
  }
  return text;
}

function sharePanel(root, bus) {
  const watched = !!bus.model.get("watched");
  const id = freshId("share");
  const told = h("p", { class: "pv-share-told", role: "status", "data-testid": "share-told" });
  const note = h("p", { class: "pv-quiet", "data-testid": "share-note", hidden: true });
  const field = h("input", { type: "text", readonly: true, class: "pv-share-field", hidden: true,
    "aria-label": watched ? "The link" : "The recipe", "data-testid": "share-field" });
  const recipe = () => bus.slice("recipe");
  const copy = h("button", { type: "button", class: "pv-button", "data-testid": "copy-link", onclick: async () => {
    const text = watched ? addressWith(recipe().text).href : recipe().text;
    const copied = await copyText(text);
    field.value = text;
    setHidden(field, copied);
    setText(told, copied ? (watched ? "The link is copied." : "The recipe is copied.") : "Copy it from here:");
    if (!copied) field.select();
  } }, watched ? "Copy link" : "Copy recipe");
  const save = h("button", { type: "button", class: "pv-button", "data-testid": "save-recipe", onclick: () => {
    const model = String(bus.slice("controls").model || "network").replace(/[^\w.-]+/g, "-");
    saveText(recipe().json, `${model}-recipe.json`);
    setText(told, "The recipe is saved.");
  } }, "Save recipe");
  const file = h("input", { type: "file", accept: ".json,application/json", hidden: true, tabindex: "-1",
    "aria-label": "Recipe file", "data-testid": "recipe-file", onchange: async () => {
      const chosen = file.files && file.files[0];
      if (!chosen) return;
      try {
        const text = await readRecipe(chosen);
        bus.send("recipe", { text });
        setText(told, `Opening ${chosen.name}.`);
      } catch (error) {
        setText(told, error.message);
      }
      file.value = "";
    } });
  const open = h("button", { type: "button", class: "pv-button", "data-testid": "open-recipe",
    onclick: () => file.click() }, "Open recipe…");
  const menu = h("div", { class: "pv-share-menu pv-card", id, hidden: true, role: "group", "aria-label": "Share" },
    h("p", null, watched
      ? "A recipe holds all that leads to this view, in names and numbers: no data, no weights."
      : "A recipe holds all that leads to this view, in names and numbers. A notebook has no address for others; give the copied text to pv.explore(recipe=\"…\")."),
    h("div", { class: "pv-share-buttons" }, copy, save, open, file), field, told, note);
  const button = h("button", { type: "button", class: "pv-button pv-share-button", "aria-expanded": "false",
    "aria-controls": id, "data-testid": "share", onclick: () => toggle(menu.hidden) }, "Share");
  const box = h("div", { class: "pv-share" }, button, menu);
  root.querySelector(".pv-header").append(box);

  function toggle(on) {
    setHidden(menu, !on);
    setAttr(button, "aria-expanded", on ? "true" : "false");
    if (!on) {
      setText(told, "");
      setHidden(field, true);
    }
  }
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || menu.hidden) return;
    event.stopPropagation();
    toggle(false);
    button.focus();
  });
  const outside = (event) => {
    if (!menu.hidden && !box.contains(event.target)) toggle(false);
  };
  document.addEventListener("pointerdown", outside, true);
  bus.cleanup(() => document.removeEventListener("pointerdown", outside, true));

  let written = null; // the recipe that the address stands for
  let asked = false; // an address was sent, and Python has not answered yet
  let answered = Number((recipe().opened || {}).number) || 0;
  let timer = null;
  const write = () => {
    timer = null;
    const { text } = recipe();
    if (!text || asked || text === written) return;
    written = text;
    try {
      window.history.replaceState(window.history.state, "", addressWith(text));
    } catch {
      // a browser counts how often an address changes; the next rest tries again
    }
  };
  bus.watch(["recipe"], () => {
    const { text, json, can, note: words, opened } = recipe();
    copy.disabled = !can || !text;
    save.disabled = !json;
    setText(note, words || "");
    setHidden(note, !words);
    const number = Number((opened || {}).number) || 0;
    if (number > answered) {
      answered = number;
      if (asked) written = text || null;
      asked = false;
      setText(told, "");
      if (opened.tab && opened.tab !== bus.tab) bus.showTab(opened.tab);
    }
    if (!watched || !text) return;
    if (written === null && !asked) written = text; // as it came: nothing has been done yet
    clearTimeout(timer);
    timer = setTimeout(write, ADDRESS_MS);
  });
  bus.cleanup(() => clearTimeout(timer));

  if (!watched || readOnce.has(bus.model)) return;
  readOnce.add(bus.model);
  const given = new URL(window.location.href).searchParams.get(RECIPE);
  if (!given) return;
  asked = true;
  bus.send("recipe", { text: given });
}
