// Elements from data. Text is always text: nothing that a log says becomes markup.

/**
 * @param {string} tag
 * @param {Record<string, unknown> | null} attributes `on...` are listeners, `true` and `false` switch, others are set as text.
 * @param {...(Node | string | null | undefined | false)} children
 */
export function el(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

/** @param {string} id */
export const byId = (id) => document.getElementById(id);

/** Shows a text in an element that is hidden without one. @param {HTMLElement} element @param {string | null} text */
export function show(element, text) {
  element.textContent = text ?? "";
  element.hidden = !text;
}

/**
 * A table. Cells are text or nodes; the first column heads its row.
 * @param {{caption: string, head: string[], rows: (string | Node | null)[][], foot?: (string | Node | null)[], text?: number[], id?: string}} table
 *   `text` are the columns that hold words, not numbers.
 */
export function table({ caption, head, rows, foot, text = [0], id }) {
  const side = (index) => (text.includes(index) ? "text-cell" : null);
  const cells = (row) =>
    row.map((cell, index) =>
      index === 0
        ? el("th", { scope: "row", class: "text-cell wrap" }, cell)
        : el("td", { class: side(index) }, cell ?? ""),
    );
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", { id },
      el("caption", { class: "visually-hidden" }, caption),
      el("thead", null, el("tr", null, ...head.map((name, index) => el("th", { scope: "col", class: side(index) }, name)))),
      el("tbody", null, ...rows.map((row) => el("tr", null, ...cells(row)))),
      foot && el("tfoot", null, el("tr", null, ...cells(foot))),
    ),
  );
}

/** A definition list of figures. @param {{name: string, value: string, title?: string, note?: string | null, class?: string, id?: string}[]} cards */
export function cards(cards) {
  return el("dl", { class: "cards" },
    ...cards.map((card) =>
      el("div", null,
        el("dt", null, card.name),
        el("dd", { class: card.class, title: card.title, id: card.id }, card.value, card.note && el("span", { class: "note" }, card.note)),
      ),
    ),
  );
}

/** A part of the page with a heading. @param {string} title @param {string | null} note @param {...(Node | string | null | false)} children */
export function panel(title, note, ...children) {
  const heading = el("h2", { id: `h-${++panels}` }, title, note && el("small", null, note));
  return el("section", { class: "panel", "aria-labelledby": heading.id }, heading, ...children);
}
let panels = 0;

/** Calls with the text of each file that is dropped on an element or chosen in an input. @param {HTMLElement} zone @param {HTMLInputElement} input @param {(file: File) => void} open */
export function files(zone, input, open) {
  const over = (is) => (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    zone.classList.toggle("over", is);
  };
  zone.addEventListener("dragover", over(true));
  zone.addEventListener("dragleave", over(false));
  zone.addEventListener("drop", (event) => {
    over(false)(event);
    const file = event.dataTransfer?.files[0];
    if (file) open(file);
  });
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    // The same file may be chosen again, after it has grown.
    input.value = "";
    if (file) open(file);
  });
}
