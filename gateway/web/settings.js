/** How files are read: kept in the browser, changed in a dialog. */

import { models } from "./api.js";
import { byId, make } from "./dom.js";
import { texts } from "./texts.js";

/** @typedef {import("./api.js").Options} Options */

const KEY = "settings";
const DEFAULTS = { mode: "page", decoder: "prefix_beam", doubt: "80", structure: "true" };
/** Kept until the tab is closed. */
const SECRETS = ["token", "password"];
const OF_DOCUMENTS = ["pages", "dpi", "password", "ignore_text_layer"];
const OF_THE_PAGE = ["doubt", "prepare", "token"];
const NEED_BEAM = ["pattern", "hot_words", "lexicon"];
const ALTERNATIVES = 4;
const USUAL_NATS = 3;

/** Names of the fields of steps, and of types of fields: this, then the step, or the type. */
const STEP = "step-";
const TYPE = "type-";
const STEPS = ["perspective", "shadow", "contrast", "local_contrast", "grey", "denoise", "sharpen", "binarise", "enlarge", "deskew", "orientation"];
const TYPES = ["date", "amount", "phone", "resident_id", "credit_code", "iban", "bank_card", "isbn", "ean"];

/** @returns {Record<string, string>} */
function kept() {
  const secrets = SECRETS.map((name) => [name, sessionStorage.getItem(name) ?? ""]);
  return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY) ?? "{}"), ...Object.fromEntries(secrets) };
}

/** Characters that are less sure are marked. @returns {number} */
export function doubtBelow() {
  return Number(kept().doubt) / 100;
}

/** What the gateway is asked, besides the file. @param {{isDocument: boolean}} file @returns {Options} */
export function readingOptions({ isDocument }) {
  const options = chosenOptions(kept());
  if (!isDocument) for (const name of OF_DOCUMENTS) delete options[name];
  options.characters = true;
  if (NEED_BEAM.some((name) => options[name])) options.decoder = "prefix_beam";
  if (options.decoder === "prefix_beam") options.character_alternatives = ALTERNATIVES;
  else delete options.beam_width;
  return options;
}

/** The same for live pictures, which have no time for more than the text. @returns {Options} */
export function liveOptions() {
  const { characters, character_alternatives, decoder, beam_width, structure, field_types, extractors, ...options } = readingOptions({ isDocument: false });
  return options;
}

/** What is filled in, as options of the gateway. @param {Record<string, string>} settings @returns {Options} */
function chosenOptions(settings) {
  const isOwn = (/** @type {string} */ name) => OF_THE_PAGE.includes(name) || name.startsWith(STEP) || name.startsWith(TYPE);
  /** @type {Options} */
  const options = Object.fromEntries(Object.entries(settings).filter(([name, value]) => value && !isOwn(name)));
  if (settings.hot_words) options.hot_words = weighed(settings.hot_words);
  const types = TYPES.filter((type) => settings[TYPE + type]);
  if (types.length) options.field_types = types.join("\n");
  const switches = STEPS.filter((step) => settings[STEP + step]).map((step) => `${step}=${settings[STEP + step]}`);
  const prepare = [settings.prepare, ...switches].filter(Boolean).join(",");
  return prepare ? { ...options, prepare } : options;
}

/** Rows without a weight get the usual one. @param {string} rows @returns {string} */
function weighed(rows) {
  const words = rows.split("\n").map((row) => row.trim()).filter(Boolean);
  return words.map((word) => (/.=-?[\d.]+$/.test(word) ? word : `${word}=${USUAL_NATS}`)).join("\n");
}

/** The dialog, filled when it opens. @param {() => void} onChange told when something else was chosen */
export function setUpSettings(onChange) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("settings"));
  const form = /** @type {HTMLFormElement} */ (dialog.querySelector("form"));
  byId("steps").replaceChildren(...STEPS.map(stepField));
  byId("field-types").replaceChildren(...TYPES.map(typeField));
  byId("open-settings").addEventListener("click", () => {
    void fillModels(/** @type {HTMLSelectElement} */ (form.elements.namedItem("model")));
    fill(form, kept());
    // Who leaves by Escape says nothing, and what was said the last time would still hold.
    dialog.returnValue = "";
    dialog.showModal();
  });
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "save") return;
    keep(filledIn(form));
    onChange();
  });
}

/** @param {string} step @returns {HTMLElement} */
function stepField(step) {
  const options = [["", "stepAsAll"], ["auto", "stepAuto"], ["on", "stepOn"], ["off", "stepOff"]];
  const choices = options.map(([value, text]) => make("option", { value, "data-text": text }));
  return make("label", {}, make("span", { "data-text": `steps.${step}` }), make("select", { name: STEP + step }, ...choices));
}

/** @param {string} type @returns {HTMLElement} */
function typeField(type) {
  return make("label", { class: "check" }, make("input", { type: "checkbox", name: TYPE + type }), make("span", { "data-text": `fieldNames.${type}` }));
}

/** @param {HTMLFormElement} form @returns {HTMLInputElement[]} */
function fields(form) {
  return /** @type {HTMLInputElement[]} */ ([...form.elements].filter((field) => field.getAttribute("name")));
}

/** @param {HTMLFormElement} form @param {Record<string, string>} settings */
function fill(form, settings) {
  for (const field of fields(form)) {
    const value = settings[field.name] ?? "";
    if (field.type === "checkbox") field.checked = value === "true";
    else field.value = value;
  }
}

/** @param {HTMLFormElement} form @returns {[string, string][]} */
function filledIn(form) {
  return fields(form).map((field) => [field.name, field.type === "checkbox" ? (field.checked ? "true" : "") : field.value]);
}

/** @param {[string, string][]} settings */
function keep(settings) {
  for (const name of SECRETS) sessionStorage.setItem(name, Object.fromEntries(settings)[name].trim());
  const open = settings.filter(([name]) => !SECRETS.includes(name));
  localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(open)));
}

/** @param {HTMLSelectElement} select */
async function fillModels(select) {
  const known = await models().catch(() => []);
  const names = known.map(({ name, version }) => `${name}/${version}`);
  select.replaceChildren(
    make("option", { value: "" }, texts().defaultModel),
    ...names.map((name) => make("option", { value: name }, name)),
  );
  select.value = kept().model ?? "";
}
