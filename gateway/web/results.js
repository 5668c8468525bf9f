/** What was read of one file: its pages, as picture, lines and structure, to be edited, copied and saved. */

import { formats, pagePicture } from "./api.js";
import { byId, make, notify } from "./dom.js";
import { plainText, save } from "./exports.js";
import { focusLine, makeEditable, markLine, showLines } from "./lines.js";
import { tell } from "./problems.js";
import { doubtBelow } from "./settings.js";
import { markOnSheet, setPicture, showSheet } from "./sheet.js";
import { showFields, showStructure } from "./structure.js";
import { texts } from "./texts.js";

/** @typedef {import("./exports.js").Reading & {picture: string|null}} Reading */
/** @typedef {import("./api.js").Page} Page */

const VIEWS = ["lines", "structure"];

/** @type {Reading|null} */
let shown = null;
let shownPage = 0;
/** @type {string|null} */
let pageAddress = null;
let view = VIEWS[0];

/** Everything about results. */
export function setUpResults() {
  byId("previous").addEventListener("click", () => shown && showReading(shown, shownPage - 1));
  byId("next").addEventListener("click", () => shown && showReading(shown, shownPage + 1));
  byId("edit").addEventListener("change", () => makeEditable(byId("lines"), isEditing()));
  byId("copy").addEventListener("click", () => void copy().catch(tell));
  byId("save").addEventListener("click", () => shown && void save(chosenFormat(), shown).catch(tell));
  for (const name of VIEWS) {
    byId(`view-${name}`).addEventListener("click", () => openView(name));
  }
  void fillFormats();
}

/** @returns {Reading|null} The one that can be seen. */
export function shownReading() {
  return shown;
}

/** Nothing can be seen any more. */
export function hideReading() {
  shown = null;
  byId("results").hidden = true;
}

/** In the language of now. */
export function redrawReading() {
  if (shown) showReading(shown, shownPage);
}

/** @param {Reading} reading @param {number} number of its pages, from 0; the nearest there is */
export function showReading(reading, number) {
  shown = reading;
  shownPage = Math.max(0, Math.min(number, reading.pages.length - 1));
  const { page, readings } = reading.pages[shownPage];
  byId("results").hidden = false;
  byId("name").textContent = reading.file.name;
  byId("summary").textContent = page.text.length ? summary(page) : texts().nothing;
  drawPager();
  const sheet = byId("sheet");
  const list = byId("lines");
  /** @param {number|null} line @param {boolean} scroll */
  const mark = (line, scroll) => {
    markOnSheet(sheet, line === null ? [] : [line]);
    markLine(list, line, { scroll });
  };
  const label = reading.picture || reading.job ? texts().picture : texts().blankSheet;
  showSheet(sheet, { ...page, picture: reading.picture, label }, page.text.map((line) => line.polygon), {
    onPoint: (line) => mark(line, true),
    onChoose: (line) => {
      openView("lines");
      focusLine(list, line);
    },
  });
  if (!reading.picture && reading.job) void addPicture(reading.job, page.page ?? 1);
  showLines(list, page.text, doubtBelow(), {
    readings,
    onPoint: (line) => mark(line, false),
    onChange: (line, text) => (readings[line] = text),
  });
  makeEditable(list, isEditing());
  showFields(byId("fields"), page.fields ?? [], (lines) => markOnSheet(sheet, lines));
  byId("views").hidden = !page.structure;
  if (page.structure) showStructure(byId("structure"), page.structure, (lines) => markOnSheet(sheet, lines));
  openView(page.structure ? view : "lines");
}

/** The pager, when pages have come. */
export function drawPager() {
  if (!shown) return;
  const { page } = shown.pages[shownPage];
  byId("pager").hidden = shown.pages.length < 2;
  byId("page").textContent = texts().page(page.page ?? 1, page.page_count ?? 1);
  /** @type {HTMLButtonElement} */ (byId("previous")).disabled = shownPage === 0;
  /** @type {HTMLButtonElement} */ (byId("next")).disabled = shownPage === shown.pages.length - 1;
}

/** @param {Page} page @returns {string} Size, model, and what was done to the image first. */
function summary({ width, height, model, applied_steps = [] }) {
  const reader = model ?? texts().textLayer;
  const steps = applied_steps.map(({ step }) => /** @type {Record<string, string>} */ (texts().steps)[step] ?? step);
  return [`${width} × ${height}`, reader, ...(steps.length ? [texts().prepared(steps.join(texts().comma))] : [])].join(" · ");
}

/** Of a page that the gateway renders; until it comes, and where it cannot, there is a blank sheet. @param {string} job @param {number} number */
async function addPicture(job, number) {
  const [reading, position] = [shown, shownPage];
  const picture = await pagePicture(job, number).catch(() => null);
  if (!picture || shown !== reading || shownPage !== position) return;
  if (pageAddress) URL.revokeObjectURL(pageAddress);
  pageAddress = URL.createObjectURL(picture);
  setPicture(byId("sheet"), pageAddress);
}

/** @param {string} chosen */
function openView(chosen) {
  if (!byId("views").hidden) view = chosen;
  for (const name of VIEWS) {
    byId(name).hidden = name !== chosen;
    byId(`view-${name}`).setAttribute("aria-pressed", String(name === chosen));
  }
}

async function fillFormats() {
  const known = await formats().catch(() => ["text", "json", "tsv"]);
  const named = /** @type {Record<string, string>} */ ({ text: "TXT", markdown: "Markdown", hocr: "hOCR" });
  byId("format").replaceChildren(
    ...known.map((name) =>
      name === "pdf"
        ? make("option", { value: name, "data-text": "searchablePdf" }, texts().searchablePdf)
        : make("option", { value: name }, named[name] ?? name.toUpperCase()),
    ),
  );
  /** @type {HTMLSelectElement} */ (byId("format")).value = "text";
}

/** @returns {string} */
function chosenFormat() {
  return /** @type {HTMLSelectElement} */ (byId("format")).value;
}

/** @returns {boolean} */
function isEditing() {
  return /** @type {HTMLInputElement} */ (byId("edit")).checked;
}

async function copy() {
  if (!shown) return;
  await navigator.clipboard.writeText(plainText(shown));
  notify(texts().copied, 2);
}
