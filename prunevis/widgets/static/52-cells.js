// A grid of units: real buttons while there are few, one canvas when there are many. Both take
// {n, shade(i), silent(i), name(i)}, know which units go, and call `choose(i)`.

const MANY_UNITS = 600;

/** Move a cursor over a grid of `columns` by a key; undefined if the key means nothing here. */
function gridStep(key, i, n, columns) {
  const to = { ArrowRight: i + 1, ArrowLeft: i - 1, ArrowDown: i + columns, ArrowUp: i - columns,
    Home: 0, End: n - 1, PageDown: i + 5 * columns, PageUp: i - 5 * columns }[key];
  return to === undefined ? undefined : Math.min(n - 1, Math.max(0, to));
}

function buttonCells(choose) {
  const root = h("div", { class: "pv-cells", role: "listbox", "data-testid": "cells" });
  let cells = [];
  let data = null;
  let cursor = 0;
  let chosen = null;
  const columns = () => {
    const top = cells[0].offsetTop;
    const first = cells.findIndex((cell) => cell.offsetTop !== top);
    return first < 0 ? cells.length : first;
  };
  const focusOn = (i) => {
    cells[cursor].tabIndex = -1;
    cursor = i;
    cells[i].tabIndex = 0;
    cells[i].focus();
  };
  root.addEventListener("keydown", (event) => {
    const to = gridStep(event.key, cursor, cells.length, columns());
    if (to !== undefined) {
      event.preventDefault();
      focusOn(to);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose(cursor);
    }
  });
  root.addEventListener("click", (event) => {
    const i = cells.indexOf(event.target);
    if (i < 0) return;
    focusOn(i);
    choose(i);
  });
  return {
    root,
    set(next, label) {
      setAttr(root, "aria-label", label);
      data = next;
      if (cells.length !== data.n) {
        cells = Array.from({ length: data.n }, () => h("span", { class: "pv-cell", role: "option", tabindex: "-1" }));
        root.replaceChildren(...cells);
        cursor = Math.min(cursor, Math.max(0, data.n - 1));
        chosen = null;
        if (cells.length) cells[cursor].tabIndex = 0;
      }
      cells.forEach((cell, i) => {
        cell.style.setProperty("--a", data.shade(i).toFixed(3));
        setAttr(cell, "data-silent", data.silent(i));
        setAttr(cell, "title", data.name(i));
        setAttr(cell, "aria-label", data.name(i));
      });
    },
    /** `goes(i)` for the units of `touched` only: a move changes few of them. */
    mark(goes, touched) {
      for (const i of touched) setAttr(cells[i], "data-goes", goes(i));
    },
    select(i) {
      if (chosen !== null && cells[chosen]) setAttr(cells[chosen], "aria-selected", "false");
      chosen = i;
      if (i !== null && cells[i]) setAttr(cells[i], "aria-selected", "true");
    },
    draw() {},
  };
}

function canvasCells(bus, choose) {
  let data = null;
  let goes = () => false;
  let cursor = 0;
  let chosen = null;
  let grid = { columns: 1, size: 8 };
  const layout = (width) => {
    const size = data.n > 4000 ? 5 : data.n > 1500 ? 8 : 11;
    return { columns: Math.max(1, Math.floor(width / size)), size };
  };
  const picture = surface(bus, { tabindex: "0", role: "application", "data-testid": "cells" }, (c, width, height, colors) => {
    if (!data) return;
    const { columns, size } = grid;
    const side = size - 1.5;
    for (let i = 0; i < data.n; i++) {
      const x = (i % columns) * size;
      const y = Math.floor(i / columns) * size;
      const out = goes(i);
      c.globalAlpha = out ? 1 : 0.1 + 0.9 * data.shade(i);
      c.fillStyle = out ? colors.prunedSoft : colors.kept;
      c.fillRect(x, y, side, side);
      c.globalAlpha = 1;
      if (data.silent(i)) {
        c.strokeStyle = colors.pruned;
        c.lineWidth = 1;
        c.strokeRect(x + 0.5, y + 0.5, side - 1, side - 1);
      }
      if (out && size > 5) {
        c.strokeStyle = colors.pruned;
        c.beginPath();
        c.moveTo(x, y + side);
        c.lineTo(x + side, y);
        c.stroke();
      }
      if (i === chosen || (i === cursor && document.activeElement === picture.canvas)) {
        c.strokeStyle = colors.ink;
        c.lineWidth = 2;
        c.strokeRect(x, y, side, side);
      }
    }
  });
  const fit = () => {
    if (!data || !picture.width) return;
    grid = layout(picture.width);
    picture.root.style.height = `${Math.ceil(data.n / grid.columns) * grid.size}px`;
    picture.draw();
  };
  watchSize(bus, picture.root, () => requestAnimationFrame(fit));
  const voice = h("span", { class: "pv-sr", "aria-live": "polite" });
  const root = h("div", { class: "pv-cells-canvas" }, picture.root, voice);
  picture.canvas.addEventListener("click", (event) => {
    const i = Math.floor(event.offsetY / grid.size) * grid.columns + Math.floor(event.offsetX / grid.size);
    if (data && i >= 0 && i < data.n) choose((cursor = i));
  });
  picture.canvas.addEventListener("pointermove", (event) => {
    const i = Math.floor(event.offsetY / grid.size) * grid.columns + Math.floor(event.offsetX / grid.size);
    setAttr(picture.canvas, "title", data && i >= 0 && i < data.n ? data.name(i) : null);
  });
  picture.canvas.addEventListener("keydown", (event) => {
    if (!data) return;
    const to = gridStep(event.key, cursor, data.n, grid.columns);
    if (to !== undefined) {
      event.preventDefault();
      cursor = to;
      setText(voice, data.name(cursor));
      picture.draw();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose(cursor);
    }
  });
  for (const name of ["focus", "blur"]) picture.canvas.addEventListener(name, () => picture.draw());
  return {
    root,
    set(next, label) {
      data = next;
      cursor = Math.min(cursor, data.n - 1);
      setAttr(picture.canvas, "aria-label", `${label} Arrow keys move, Enter picks.`);
      fit();
    },
    mark(next) {
      goes = next;
      picture.draw();
    },
    select(i) {
      chosen = i;
      picture.draw();
    },
    draw: () => picture.draw(),
  };
}
