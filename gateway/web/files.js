/** Files: taken in, read one after the other, shown. */

import { Failure, formats, readDocument, readImage } from "./api.js";
import { announce, byId, clearNotice, make, notify } from "./dom.js";
import { plainText, save } from "./exports.js";
import { focusLine, makeEditable, markLine, showLines } from "./lines.js";
import { doubtBelow, readingOptions } from "./settings.js";
import { markOnSheet, showSheet } from "./sheet.js";
import { explained, texts } from "./texts.js";

/** @typedef {import("./api.js").Page} Page */
/** @typedef {import("./api.js").Problem} Problem */
/** @typedef {{page: Page, readings: string[]}} ReadPage */

const AT_ONCE = 2;

/** One file, from when it is dropped until it is removed. */
class Entry {
  /** @param {File} file */
  constructor(file) {
    this.file = file;
    this.isDocument = /\.(pdf|tiff?)$/i.test(file.name) || file.type === "application/pdf" || file.type === "image/tiff";
    this.picture = this.isDocument ? null : URL.createObjectURL(file);
    this.options = readingOptions(this);
    /** @type {"waiting"|"reading"|"done"|"failed"|"cancelled"} */
    this.state = "waiting";
    this.note = "";
    /** @type {ReadPage[]} */
    this.pages = [];
    /** @type {Problem|null} */
    this.problem = null;
    this.aborter = new AbortController();
  }
}

/** @type {Entry[]} */
const entries = [];
/** @type {Entry|null} */
let shown = null;
let shownPage = 0;

/** Everything about files. */
export function setUpFiles() {
  const input = /** @type {HTMLInputElement} */ (byId("input"));
  const shot = /** @type {HTMLInputElement} */ (byId("shot"));
  byId("choose").addEventListener("click", () => input.click());
  byId("snap").addEventListener("click", () => shot.click());
  for (const field of [input, shot]) {
    field.addEventListener("change", () => {
      take([...(field.files ?? [])]);
      field.value = "";
    });
  }
  setUpDrop();
  document.addEventListener("paste", (event) => take([...(event.clipboardData?.files ?? [])]));
  byId("previous").addEventListener("click", () => shown && show(shown, shownPage - 1));
  byId("next").addEventListener("click", () => shown && show(shown, shownPage + 1));
  byId("edit").addEventListener("change", () => makeEditable(byId("lines"), isEditing()));
  byId("copy").addEventListener("click", copy);
  byId("save").addEventListener("click", () => shown && save(chosenFormat(), shown).catch(tell));
  void fillFormats();
}

/** The texts are in another language now. */
export function redrawFiles() {
  drawQueue();
  if (shown) show(shown, shownPage);
}

function setUpDrop() {
  const drop = byId("drop");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget === null && drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take([...(event.dataTransfer?.files ?? [])]);
  });
}

async function fillFormats() {
  const known = await formats().catch(() => ["text", "json", "tsv"]);
  byId("format").replaceChildren(...known.map((name) => make("option", { value: name }, name === "text" ? "TXT" : name.toUpperCase())));
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

/** @param {File[]} files */
function take(files) {
  if (!files.length) return;
  clearNotice();
  entries.push(...files.map((file) => new Entry(file)));
  byId("drop").classList.add("small");
  drawQueue();
  readNext();
}

function readNext() {
  const busy = entries.filter((entry) => entry.state === "reading").length;
  for (const entry of entries.filter((each) => each.state === "waiting").slice(0, AT_ONCE - busy)) void read(entry);
}

/** @param {Entry} entry */
async function read(entry) {
  entry.state = "reading";
  entry.note = texts().reading;
  drawQueue();
  const started = performance.now();
  try {
    await (entry.isDocument ? readPages(entry) : readPicture(entry));
    entry.state = "done";
    const lines = entry.pages.reduce((sum, { page }) => sum + page.text.length, 0);
    entry.note = texts().done(lines, (performance.now() - started) / 1000);
    announce(texts().finished(entry.file.name, lines));
  } catch (error) {
    entry.state = entry.aborter.signal.aborted ? "cancelled" : "failed";
    entry.problem = error instanceof Failure ? error.problem : null;
    entry.note = entry.state === "cancelled" ? texts().cancelled : explained(problemOf(error));
    if (entry.state === "failed") announce(`${entry.file.name}: ${entry.note}`);
  }
  drawQueue();
  readNext();
}

/** @param {Entry} entry */
async function readPicture(entry) {
  const page = await readImage(
    entry.file,
    entry.options,
    (share) => {
      entry.note = share < 1 ? texts().uploading(share) : texts().reading;
      drawQueue();
    },
    entry.aborter.signal,
  );
  addPage(entry, page);
}

/** @param {Entry} entry */
async function readPages(entry) {
  await readDocument(
    entry.file,
    entry.options,
    (page, job) => {
      entry.note = texts().pagesRead(job.pages_done, job.pages_selected);
      if (page.success) addPage(entry, page);
      else notify(`${entry.file.name}, ${texts().page(page.page ?? 1, page.page_count ?? 1)}: ${explained(page.error)}`);
      drawQueue();
    },
    entry.aborter.signal,
  );
}

/** @param {Entry} entry @param {Page} page */
function addPage(entry, page) {
  entry.pages.push({ page, readings: page.text.map((line) => line.text) });
  if (!shown || (shown === entry && entry.pages.length === 2)) show(entry, shown === entry ? shownPage : 0);
  else if (shown === entry) drawPager();
}

function drawQueue() {
  byId("queue").replaceChildren(
    ...entries.map((entry) => {
      const open = make("button", { type: "button", class: "name", ...(entry === shown ? { "aria-current": "true" } : {}) }, entry.file.name);
      open.disabled = !entry.pages.length;
      open.addEventListener("click", () => show(entry, 0));
      const running = entry.state === "reading" || entry.state === "waiting";
      const label = running ? texts().cancel : texts().remove;
      const away = make("button", { type: "button", class: "quiet", "aria-label": `${label}: ${entry.file.name}`, title: label }, "×");
      away.addEventListener("click", () => (running ? cancel(entry) : remove(entry)));
      const again = make("button", { type: "button", class: "quiet", "aria-label": `${texts().again}: ${entry.file.name}`, title: texts().again }, "↻");
      again.hidden = running;
      again.addEventListener("click", () => reread(entry));
      const note = make("span", { class: "note" }, entry.state === "waiting" ? texts().waiting : entry.note);
      return make("li", { class: entry.state }, open, note, again, away);
    }),
  );
}

/** @param {Entry} entry */
function cancel(entry) {
  entry.aborter.abort();
  if (entry.state === "waiting") {
    entry.state = "cancelled";
    entry.note = texts().cancelled;
  }
  drawQueue();
}

/** With the settings of now. @param {Entry} entry */
function reread(entry) {
  const fresh = new Entry(entry.file);
  entries[entries.indexOf(entry)] = fresh;
  forget(entry);
  readNext();
}

/** @param {Entry} entry */
function remove(entry) {
  entries.splice(entries.indexOf(entry), 1);
  forget(entry);
}

/** @param {Entry} entry */
function forget(entry) {
  if (entry.picture) URL.revokeObjectURL(entry.picture);
  if (entry === shown) {
    shown = null;
    byId("results").hidden = true;
    const next = entries.find((each) => each.pages.length);
    if (next) show(next, 0);
  }
  drawQueue();
}

/** @param {Entry} entry @param {number} number */
function show(entry, number) {
  shown = entry;
  shownPage = Math.max(0, Math.min(number, entry.pages.length - 1));
  const { page, readings } = entry.pages[shownPage];
  byId("results").hidden = false;
  byId("name").textContent = entry.file.name;
  byId("summary").textContent = page.text.length ? `${page.width} × ${page.height}, ${page.model}` : texts().nothing;
  drawPager();
  const sheet = byId("sheet");
  const list = byId("lines");
  /** @param {number|null} line @param {boolean} scroll */
  const mark = (line, scroll) => {
    markOnSheet(sheet, line);
    markLine(list, line, { scroll });
  };
  const label = entry.picture ? texts().picture : texts().blankSheet;
  showSheet(sheet, { ...page, picture: entry.picture, label }, page.text.map((line) => line.polygon), {
    onPoint: (line) => mark(line, true),
    onChoose: (line) => focusLine(list, line),
  });
  showLines(list, page.text, doubtBelow(), {
    readings,
    onPoint: (line) => mark(line, false),
    onChange: (line, text) => (readings[line] = text),
  });
  makeEditable(list, isEditing());
  drawQueue();
}

function drawPager() {
  if (!shown) return;
  byId("pager").hidden = shown.pages.length < 2;
  byId("page").textContent = texts().page(shown.pages[shownPage].page.page ?? 1, shown.pages[shownPage].page.page_count ?? 1);
  /** @type {HTMLButtonElement} */ (byId("previous")).disabled = shownPage === 0;
  /** @type {HTMLButtonElement} */ (byId("next")).disabled = shownPage === shown.pages.length - 1;
}

async function copy() {
  if (!shown) return;
  await navigator.clipboard.writeText(plainText(shown));
  notify(texts().copied, 2);
}

/** @param {unknown} error @returns {Problem} */
function problemOf(error) {
  if (error instanceof Failure) return error.problem;
  return { type: "about:blank", title: "", status: 0, detail: String(error), reason: "OTHER" };
}

/** @param {unknown} error */
function tell(error) {
  notify(explained(problemOf(error)));
}
