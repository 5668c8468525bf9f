/** What was read, as files. Text, JSON and TSV hold what was edited; other formats are written by the gateway. */

import { converted, Failure, jobResult } from "./api.js";

/** @typedef {import("./api.js").Page} Page */
/**
 * job: of a document, as long as the gateway has it.
 * @typedef {{pages: {page: Page, readings: string[]}[], file: File, options: import("./api.js").Options, job: string|null}} Reading
 */

const EXTENSIONS = /** @type {Record<string, string>} */ ({ text: "txt", markdown: "md", hocr: "hocr.html", alto: "xml" });

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
      return byGateway(format, reading);
  }
}

/** Pictures are read once more, and so are documents that the gateway has forgotten. @param {string} format @param {Reading} reading */
async function byGateway(format, { job, file, options }) {
  try {
    if (job) return await jobResult(job, format);
  } catch (error) {
    if (!(error instanceof Failure && error.problem.reason === "JOB_NOT_FOUND")) throw error;
  }
  return converted(file, { ...options, format });
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
