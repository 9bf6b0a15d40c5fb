// Building and updating elements. Text from Python only ever becomes text nodes, never markup.

const SVG_NS = "http://www.w3.org/2000/svg";
let pvSerial = 0;

/** A document-wide unique id, for aria attributes: a page can be shown many times. */
const freshId = (name) => `pv-${name}-${++pvSerial}`;

function fill(node, props, children) {
  for (const [key, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : READ.has(key) ? tr(String(value)) : value);
  }
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(RAW.has(node.tagName) ? String(child) : tr(String(child))));
  }
  return node;
}

/** h("p", {class: "pv-quiet"}, "text", otherNode): a new HTML element. */
const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);

/** The same for SVG. */
const s = (tag, props, ...children) => fill(document.createElementNS(SVG_NS, tag), props, children);

/** Set text only if it differs: an unchanged text node costs no layout. */
function setText(node, text) {
  const plain = text === null || text === undefined ? "" : String(text);
  const next = RAW.has(node.tagName) ? plain : tr(plain);
  if (node.textContent !== next) node.textContent = next;
}

function setAttr(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else {
    const next = value === true ? "" : READ.has(name) ? tr(String(value)) : String(value);
    if (node.getAttribute(name) !== next) node.setAttribute(name, next);
  }
}

function setHidden(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

/** Replace the options of a select, keeping it untouched where nothing changed. */
function setOptions(select, options, value) {
  const signature = JSON.stringify(options);
  if (select._pvOptions !== signature) {
    select._pvOptions = signature;
    const groups = new Map();
    select.replaceChildren();
    for (const o of options) {
      const option = h("option",
        { value: o.name, disabled: !!o.disabled, title: o.disabled || o.detail }, o.label);
      if (o.group && !groups.has(o.group)) {
        groups.set(o.group, h("optgroup", { label: o.group }));
        select.append(groups.get(o.group));
      }
      (groups.get(o.group) || select).append(option);
    }
  }
  if (value !== undefined && value !== null && select.value !== value) select.value = value;
}

/** A group of buttons of which one is chosen; `choose(name)` is called by hand only. */
function segmented(label, testid, choose) {
  const root = h("div", { class: "pv-segmented", role: "radiogroup", "aria-label": label });
  const group = freshId("group");
  let inputs = [];
  let signature = null;
  return {
    root,
    set(options, value) {
      const next = JSON.stringify(options);
      if (signature !== next) {
        signature = next;
        inputs = options.map((o) =>
          h("input", {
            type: "radio", name: group, value: o.name, disabled: !!o.disabled,
            "data-testid": `${testid}-${o.name}`, onchange: () => choose(o.name),
          })
        );
        root.replaceChildren(
          ...options.map((o, i) =>
            h("label", { title: o.disabled || null }, inputs[i], h("span", null, o.label))
          )
        );
      }
      for (const input of inputs) input.checked = input.value === value;
    },
  };
}

/** A toggle between a few fixed choices that only concerns the browser. */
function choice(label, testid, options, start, chosen) {
  const part = segmented(label, testid, (name) => {
    api.value = name;
    chosen(name);
  });
  const api = { root: part.root, value: start };
  part.root.classList.add("pv-segmented-small");
  part.set(options.map(([name, text]) => ({ name, label: text })), start);
  return api;
}

/** The bytes behind a DataView (or what a fake model gives) as a fresh ArrayBuffer. */
function bytesOf(data) {
  if (!data) return null;
  if (data instanceof ArrayBuffer) return data;
  if (data.buffer instanceof ArrayBuffer) {
    return data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
  }
  return null;
}

/** An image shown from PNG bytes; the old address is freed when a new one comes. */
function pngImage(bus, className) {
  const img = h("img", { class: className, alt: "", hidden: true, decoding: "async" });
  let address = null;
  let shown = null;
  const free = () => address && URL.revokeObjectURL(address);
  bus.cleanup(free);
  return {
    root: img,
    set(png, alt) {
      setAttr(img, "alt", alt || "");
      if (png === shown) return;
      shown = png;
      const bytes = bytesOf(png);
      setHidden(img, !bytes);
      const old = address;
      address = bytes ? URL.createObjectURL(new Blob([bytes], { type: "image/png" })) : null;
      if (address) img.src = address;
      else img.removeAttribute("src");
      if (old) URL.revokeObjectURL(old);
    },
  };
}

/** A designed empty state: a sentence, and what to do about it. */
function emptyState(text) {
  const line = h("p", null, text || "");
  const root = h("div", { class: "pv-empty" }, line);
  return { root, set: (next) => setText(line, next) };
}
