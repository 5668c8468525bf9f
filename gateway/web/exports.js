/** What was read, as files. Text, JSON and TSV hold what was edited; other formats are written by the gateway. */

import { converted } from "./api.js";

/** @typedef {import("./api.js").Page} Page */
/** @typedef {{pages: {page: Page, readings: string[]}[], file: File, options: import("./api.js").Options}} Reading */

const EXTENSIONS = /** @type {Record<string, string>} */ ({ text: "txt", hocr: "hocr.html", alto: "xml" });

/** @param {Reading} reading @returns {string} */
export function plainText({ pages }) {
  return pages.map(({ readings }) => readings.join("\n")).join("\n\n");
}

/** @param {Reading} reading @returns {string} */
function tsv({ pages, file }) {
  const rows = pages.flatMap(({ page, readings }) =>
    page.text.map((line, number) =>
      [
        file.name,
        page.page ?? 1,
        number + 1,
        line.confidence.toFixed(4),
        line.polygon.map(([x, y]) => `${x},${y}`).join(" "),
        readings[number].replaceAll(/[\t\n]/g, " "),
      ].join("\t"),
    ),
  );
  return ["source\tpage\tline\tconfidence\tpolygon\ttext", ...rows, ""].join("\n");
}

/** @param {Reading} reading @returns {string} */
function json({ pages, file }) {
  const edited = pages.map(({ page, readings }) => ({
    ...page,
    file: file.name,
    text: page.text.map((line, number) => ({ ...line, text: readings[number] })),
  }));
  return JSON.stringify(edited.length === 1 ? edited[0] : edited, null, 1);
}

/** @param {string} format @param {Reading} reading @returns {Promise<Blob>} */
async function written(format, reading) {
  switch (format) {
    case "text":
      return new Blob([plainText(reading), "\n"], { type: "text/plain" });
    case "json":
      return new Blob([json(reading)], { type: "application/json" });
    case "tsv":
      return new Blob([tsv(reading)], { type: "text/tab-separated-values" });
    default:
      return converted(reading.file, { ...reading.options, format });
  }
}

/** Write a file of this format and have the browser save it. @param {string} format @param {Reading} reading */
export async function save(format, reading) {
  const address = URL.createObjectURL(await written(format, reading));
  const stem = reading.file.name.replace(/\.[^.]*$/, "") || "text";
  const link = document.createElement("a");
  link.href = address;
  link.download = `${stem}.${EXTENSIONS[format] ?? format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
