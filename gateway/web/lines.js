/** The text of a page, line by line: doubtful characters are marked, and can be replaced. */

import { byId, make, percent } from "./dom.js";
import { texts } from "./texts.js";

/** @typedef {import("./api.js").Line} Line */
/** @typedef {import("./api.js").Character} Character */

const LEAST_SHARE = 0.005;
const HOVER_MS = 180;

/**
 * @param {HTMLElement} place @param {Line[]} lines @param {number} doubtBelow
 * @param {{onPoint: (line: number|null) => void, onChange: (line: number, text: string) => void, readings: string[]}} how
 */
export function showLines(place, lines, doubtBelow, how) {
  place.replaceChildren(
    ...lines.map((line, number) => {
      const isChanged = how.readings[number] !== line.text;
      const text = make("span", { class: "text", tabindex: "0", "aria-label": `${texts().line(number + 1)}: ${how.readings[number]}` });
      text.append(...(isChanged ? [how.readings[number]] : marked(line, doubtBelow)));
      const raw = line.raw_text === undefined ? [] : [make("span", { class: "raw" }, texts().wasRead(line.raw_text))];
      const item = make("li", { "data-line": `${number}` }, make("div", {}, text, ...raw), make("span", { class: "sure", title: texts().confidence(percent(line.confidence)) }, percent(line.confidence)));
      item.addEventListener("pointerenter", () => how.onPoint(number));
      item.addEventListener("pointerleave", () => how.onPoint(null));
      item.addEventListener("focusin", () => how.onPoint(number));
      text.addEventListener("input", () => how.onChange(number, text.textContent ?? ""));
      text.addEventListener("click", (event) => openMenu(event, line, number, how)?.focus());
      text.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || (event.key === " " && event.target !== text)) {
          event.preventDefault();
          openMenu(event, line, number, how)?.focus();
        }
      });
      text.addEventListener("pointerover", (event) => {
        if (event.pointerType !== "mouse") return;
        const isMark = event.target instanceof Element && event.target.closest("mark");
        hover(isMark ? () => openMenu(event, line, number, how) : closeUnlessUsed);
      });
      text.addEventListener("pointerout", () => hover(closeUnlessUsed));
      return item;
    }),
  );
}

/** @param {HTMLElement} place @param {number|null} line @param {{scroll: boolean}} how */
export function markLine(place, line, { scroll }) {
  for (const item of place.children) {
    const isIt = item.getAttribute("data-line") === String(line);
    item.classList.toggle("marked", isIt);
    if (isIt && scroll) item.scrollIntoView({ block: "nearest" });
  }
}

/** @param {HTMLElement} place @param {number} line */
export function focusLine(place, line) {
  /** @type {HTMLElement|null} */ (place.querySelector(`[data-line="${line}"] .text`))?.focus();
}

/** @param {HTMLElement} place @param {boolean} isEditable */
export function makeEditable(place, isEditable) {
  for (const text of place.querySelectorAll(".text")) {
    text.toggleAttribute("contenteditable", isEditable);
    if (isEditable) text.setAttribute("role", "textbox");
    else text.removeAttribute("role");
  }
}

/** @param {Line} line @param {number} doubtBelow @returns {(Node|string)[]} */
function marked(line, doubtBelow) {
  if (!line.characters) return [line.text];
  return line.characters.map((character, position) => {
    if (character.confidence >= doubtBelow || !character.text.trim()) return character.text;
    const share = percent(character.confidence);
    const label = texts().doubtful(character.text, share);
    return make(
      "mark",
      { tabindex: "0", role: "button", "aria-haspopup": "menu", "aria-label": label, "data-character": `${position}` },
      character.text,
    );
  });
}

/** What may stand in its place, itself first. @param {Character} character @returns {[string, number][]} */
function choices(character) {
  const others = character.alternatives.filter(([, share]) => share >= LEAST_SHARE);
  return [[character.text, character.confidence], ...others];
}

/** @param {string} text @returns {string} */
function visible(text) {
  return text.trim() ? text : "␣";
}

/**
 * The characters that could stand in the place of a doubtful one.
 * @param {Event} event @param {Line} line @param {number} number @param {{onChange: (line: number, text: string) => void}} how
 * @returns {HTMLElement|null} The first of them.
 */
function openMenu(event, line, number, how) {
  const mark = event.target instanceof Element ? event.target.closest("mark") : null;
  if (!mark?.isConnected || !line.characters || mark.closest("[contenteditable]")) return null;
  closeMenu();
  const character = line.characters[Number(mark.getAttribute("data-character"))];
  const menu = make("div", { id: "alternatives", role: "menu", "aria-label": texts().alternatives(character.text) });
  for (const [text, share] of choices(character)) {
    const item = make("button", { type: "button", role: "menuitem" }, make("b", {}, visible(text)), ` ${percent(share)}`);
    item.addEventListener("click", () => {
      mark.replaceWith(text);
      closeMenu();
      how.onChange(number, byNumber(number)?.textContent ?? "");
    });
    menu.append(item);
  }
  const place = mark.getBoundingClientRect();
  menu.style.left = `${Math.min(place.left, innerWidth - 140) + scrollX}px`;
  menu.style.top = `${place.bottom + scrollY + 4}px`;
  menu.addEventListener("keydown", (pressed) => moveInMenu(pressed, menu, mark));
  menu.addEventListener("pointerenter", () => clearTimeout(hovering));
  menu.addEventListener("pointerleave", () => hover(closeUnlessUsed));
  document.body.append(menu);
  document.addEventListener("pointerdown", closeFromOutside);
  return /** @type {HTMLElement} */ (menu.firstElementChild);
}

/** @type {ReturnType<typeof setTimeout>|undefined} */
let hovering;

/** Do it unless the mouse moves on. @param {() => void} act */
function hover(act) {
  clearTimeout(hovering);
  hovering = setTimeout(act, HOVER_MS);
}

function closeUnlessUsed() {
  if (!document.activeElement?.closest("#alternatives")) closeMenu();
}

/** @param {KeyboardEvent} event @param {HTMLElement} menu @param {HTMLElement} mark */
function moveInMenu(event, menu, mark) {
  const items = /** @type {HTMLElement[]} */ ([...menu.children]);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key] ?? 0;
  if (step) {
    event.preventDefault();
    const next = items.indexOf(/** @type {HTMLElement} */ (document.activeElement)) + step + items.length;
    items[next % items.length].focus();
  }
  if (event.key === "Escape" || event.key === "Tab") {
    event.preventDefault();
    closeMenu();
    mark.focus();
  }
}

/** @param {Event} event */
function closeFromOutside(event) {
  if (!(event.target instanceof Element && event.target.closest("#alternatives"))) closeMenu();
}

function closeMenu() {
  clearTimeout(hovering);
  document.removeEventListener("pointerdown", closeFromOutside);
  document.getElementById("alternatives")?.remove();
}

/** @param {number} number */
function byNumber(number) {
  return byId("lines").querySelector(`[data-line="${number}"] .text`);
}
