/** Small things that every module needs of the document. */

/**
 * The element with this id.
 * @template {HTMLElement} [Kind=HTMLElement]
 * @param {string} id @returns {Kind}
 */
export function byId(id) {
  return /** @type {Kind} */ (/** @type {unknown} */ (document.getElementById(id)));
}

/**
 * A new element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag @param {Record<string, string>} attributes @param {...(Node|string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** @param {number} share @returns {string} */
export function percent(share) {
  return `${Math.round(100 * share)} %`;
}

/** Read out by screen readers. @param {string} text */
export function announce(text) {
  byId("status").textContent = text;
}

/** Shown until it is closed, or for a while. @param {string} text @param {number} [seconds] */
export function notify(text, seconds) {
  const notice = byId("notice");
  notice.replaceChildren(make("p", {}, text));
  notice.hidden = false;
  if (seconds) setTimeout(() => (notice.hidden = true), 1000 * seconds);
}

/** Nothing is wrong any more. */
export function clearNotice() {
  byId("notice").hidden = true;
}
