/** A picture with the places of its lines, which can be pointed at. */

/** @typedef {import("./api.js").Corner} Corner */

const SVG = "http://www.w3.org/2000/svg";

/** @param {string} tag @param {Record<string, string>} attributes @returns {SVGElement} */
function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** @param {Corner[]} polygon @returns {string} */
export function points(polygon) {
  return polygon.map(([x, y]) => `${x},${y}`).join(" ");
}

/**
 * Show a picture, or a blank sheet, with polygons over it.
 * @param {HTMLElement} place @param {{width: number, height: number, picture: string|null, label: string}} sheet
 * @param {Corner[][]} polygons
 * @param {{onPoint: (line: number|null) => void, onChoose: (line: number) => void}} listeners
 */
export function showSheet(place, sheet, polygons, { onPoint, onChoose }) {
  const { width, height } = sheet;
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": sheet.label });
  drawing.append(
    sheet.picture
      ? svg("image", { href: sheet.picture, width: `${width}`, height: `${height}` })
      : svg("rect", { class: "blank", width: `${width}`, height: `${height}` }),
  );
  polygons.forEach((polygon, line) => {
    const outline = svg("polygon", { points: points(polygon), "data-line": `${line}` });
    outline.addEventListener("pointerenter", () => onPoint(line));
    outline.addEventListener("pointerleave", () => onPoint(null));
    outline.addEventListener("click", () => onChoose(line));
    drawing.append(outline);
  });
  place.replaceChildren(drawing);
}

/** Put a picture onto the sheet, in place of what is there. @param {HTMLElement} place @param {string} picture */
export function setPicture(place, picture) {
  const [width, height] = (place.querySelector("svg")?.getAttribute("viewBox") ?? "").split(" ").slice(2);
  const image = svg("image", { href: picture, width, height, preserveAspectRatio: "none" });
  place.querySelector("svg > :is(image, rect)")?.replaceWith(image);
}

/** Mark lines, or none. @param {HTMLElement} place @param {number[]} lines */
export function markOnSheet(place, lines) {
  for (const outline of place.querySelectorAll("polygon")) {
    outline.classList.toggle("marked", lines.includes(Number(outline.getAttribute("data-line"))));
  }
}

/**
 * The drawing over a moving picture: made once, changed by each answer.
 * @param {HTMLElement} place @returns {(width: number, height: number, lines: {polygon: Corner[], isStable: boolean}[]) => void}
 */
export function overlay(place) {
  const drawing = svg("svg", { class: "over", "aria-hidden": "true" });
  place.append(drawing);
  return (width, height, lines) => {
    if (width) drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.replaceChildren(
      ...lines.map(({ polygon, isStable }) => svg("polygon", { points: points(polygon), class: isStable ? "stable" : "" })),
    );
  };
}
