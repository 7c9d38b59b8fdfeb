// Elements, made by hand: text is always text (textContent), so no name in the data can become markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : String(value));
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** el("p", {class: "hint"}, "text", otherElement) */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export const byId = (id) => document.getElementById(id);

/** Sets a text only if it changed: a screen reader announces every write to a live region. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Replaces the children only if `key`, a string that says all they show, changed since the last call. */
export function redraw(node, key, make) {
  if (node.drawnAs === key) return;
  node.drawnAs = key;
  node.replaceChildren(...make());
}

const STATUS_SHAPES = { good: "●", warn: "▲", bad: "■", unknown: "○" };

/** A status by shape, colour and words together. */
export function status(level, words) {
  return el("span", { class: "status", "data-status": level }, el("span", { "aria-hidden": "true" }, STATUS_SHAPES[level]), " ", words);
}
