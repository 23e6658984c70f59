// Rows of the settings.

import { html } from "./dom.js";

let count = 0;

/**
 * A label above a control.
 * @param {string} label
 * @param {HTMLElement} control
 * @param {...(Node | string)} after
 */
export function row(label, control, ...after) {
  control.id ||= `control-${++count}`;
  return html(
    "div",
    { class: "row" },
    html("label", { class: "row-label", for: control.id }, label),
    control,
    ...after,
  );
}

/**
 * @param {{value: string, label: string, group?: string}[]} options
 * @param {string} chosen
 * @param {(value: string) => void} onChange
 */
export function select(options, chosen, onChange) {
  const made = html("select", { class: "field" });
  fill(made, options, chosen);
  made.addEventListener("change", () => onChange(made.value));
  return made;
}

/**
 * Other options for a select.
 * @param {HTMLSelectElement} element
 * @param {{value: string, label: string, group?: string}[]} options
 * @param {string} chosen the first is, where this is not among them
 */
export function fill(element, options, chosen) {
  element.replaceChildren();
  /** @type {Map<string, HTMLOptGroupElement>} */
  const groups = new Map();
  for (const { value, label, group } of options) {
    const option = html("option", { value, selected: value === chosen }, label);
    if (group === undefined) {
      element.append(option);
      continue;
    }
    const parent = groups.get(group) ?? html("optgroup", { label: group });
    if (!groups.has(group)) element.append(parent);
    groups.set(group, parent);
    parent.append(option);
  }
}

/**
 * @param {string} label
 * @param {string} note
 * @param {boolean} checked
 * @param {(checked: boolean) => void} onChange
 */
export function check(label, note, checked, onChange) {
  const box = html("input", { type: "checkbox", checked });
  box.addEventListener("change", () => onChange(box.checked));
  const words = html("span", {}, label);
  if (note !== "") words.append(html("small", {}, note));
  return html("label", { class: "check" }, box, words);
}

/**
 * A slider with its value beside the label. ``onChange`` is called when it comes to rest.
 * @param {string} label
 * @param {{min: number, max: number, step: number, value: number}} range
 * @param {(value: number) => string} show
 * @param {(value: number) => void} onChange
 */
export function slider(label, { min, max, step, value }, show, onChange) {
  const input = html("input", { type: "range", min, max, step, value, id: `control-${++count}` });
  const output = html("output", { for: input.id }, show(value));
  input.setAttribute("aria-valuetext", show(value));
  input.addEventListener("input", () => {
    output.textContent = show(input.valueAsNumber);
    input.setAttribute("aria-valuetext", show(input.valueAsNumber));
  });
  input.addEventListener("change", () => onChange(input.valueAsNumber));
  const name = html("label", { class: "row-label", for: input.id }, label, output);
  return html("div", { class: "row" }, name, input);
}

/** @param {string} title @param {...(Node | string)} children */
export function group(title, ...children) {
  return html("section", { class: "group" }, html("h3", {}, title), ...children);
}
