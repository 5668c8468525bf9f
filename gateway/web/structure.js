/** What the lines of a page form together: paragraphs and tables as they stand, and pairs of key and value. */

import { make } from "./dom.js";
import { texts } from "./texts.js";

/** @typedef {import("./api.js").Structure} Structure */
/** @typedef {import("./api.js").Table} Table */
/** @typedef {(lines: number[]) => void} OnPoint */

/** @param {HTMLElement} place @param {Structure} structure @param {OnPoint} onPoint told of the lines that are pointed at */
export function showStructure(place, structure, onPoint) {
  const paragraphs = structure.paragraphs.map(({ text, lines }) => ({
    first: Math.min(...lines),
    shown: pointed(make("p", {}, text), lines, onPoint),
  }));
  const tables = structure.tables.map((table) => ({
    first: Math.min(...table.cells.flatMap((cell) => cell.lines)),
    shown: tableOf(table, onPoint),
  }));
  const inOrder = [...paragraphs, ...tables].sort((one, other) => one.first - other.first);
  place.replaceChildren(...inOrder.map(({ shown }) => shown), ...pairs(structure, onPoint));
}

/** @param {Table} table @param {OnPoint} onPoint @returns {HTMLElement} */
function tableOf(table, onPoint) {
  const rows = Array.from({ length: table.rows }, () => make("tr"));
  for (const { row, row_span, column_span, text, lines } of table.cells) {
    const cell = make("td", { rowspan: `${row_span}`, colspan: `${column_span}` }, text);
    rows[row].append(pointed(cell, lines, onPoint));
  }
  return make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": texts().table }, make("table", {}, make("tbody", {}, ...rows)));
}

/** What rules have found. @param {HTMLElement} place @param {import("./api.js").Field[]} fields @param {OnPoint} onPoint */
export function showFields(place, fields, onPoint) {
  const names = /** @type {Record<string, string>} */ (texts().fieldNames);
  place.hidden = !fields.length;
  place.replaceChildren(list(texts().fields, fields.map(({ name, value, line }) => pair(names[name] ?? name, value, [line], onPoint))));
}

/** @param {Structure} structure @param {OnPoint} onPoint @returns {HTMLElement[]} */
function pairs({ key_values }, onPoint) {
  if (!key_values.length) return [];
  return [list(texts().keyValues, key_values.map(({ key, value, key_line, value_line }) => pair(key, value, [key_line, value_line], onPoint)))];
}

/** @param {string} key @param {string} value @param {number[]} lines @param {OnPoint} onPoint @returns {HTMLElement} */
function pair(key, value, lines, onPoint) {
  return pointed(make("div", {}, make("dt", {}, key), make("dd", {}, value)), lines, onPoint);
}

/** @param {string} title @param {HTMLElement[]} rows @returns {HTMLElement} */
function list(title, rows) {
  return make("section", {}, make("h3", {}, title), make("dl", {}, ...rows));
}

/**
 * @template {HTMLElement} Kind
 * @param {Kind} element @param {number[]} lines @param {OnPoint} onPoint @returns {Kind}
 */
function pointed(element, lines, onPoint) {
  element.addEventListener("pointerenter", () => onPoint(lines));
  element.addEventListener("pointerleave", () => onPoint([]));
  return element;
}
