// SPDX-License-Identifier: Apache-2.0
/*
 * The size gate: what a browser fetches (gzip) before the first page is there, and what each route
 * adds to that. Fails above budget.json. Reads the build's manifest, so run `npm run build` first.
 */
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const dist = new URL("../../../build/ui/dist/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL("../manifest.json", dist), "utf8"));
const budget = JSON.parse(readFileSync(new URL("../../budget.json", import.meta.url), "utf8"));

const sizes = new Map();
function size(file) {
  if (!sizes.has(file))
    sizes.set(file, gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length);
  return sizes.get(file);
}

/** Files that come with a chunk: itself, its static imports, their styles. */
function filesOf(key, seen = new Set()) {
  if (seen.has(key)) return new Set();
  seen.add(key);
  const chunk = manifest[key];
  const files = new Set([chunk.file, ...(chunk.css ?? [])]);
  for (const other of chunk.imports ?? []) for (const file of filesOf(other, seen)) files.add(file);
  return files;
}
const sum = (files) => [...files].reduce((total, file) => total + size(file), 0);

const messages = Object.keys(manifest).filter((key) => /^src\/i18n\/zh\//.test(key));
const first = filesOf("index.html");
first.add("index.html");
for (const file of filesOf("src/i18n/zh/common.json")) first.add(file);

let failed = 0;
function line(name, bytes, most) {
  const isMet = bytes <= most;
  if (!isMet) failed++;
  console.log(`${name} ${bytes} B (goal <= ${most}: ${isMet ? "met" : "missed"})`);
}
line("first_load", sum(first), budget.first_load_gzip_bytes);
const routes = Object.keys(manifest).filter((key) => /^src\/routes\/.*\.svelte$/.test(key));
for (const key of routes) {
  const area = key.split("/")[2];
  const files = filesOf(key);
  for (const message of messages)
    if (message.endsWith(`/${area}.json`)) for (const file of filesOf(message)) files.add(file);
  for (const file of first) files.delete(file);
  line(
    `route_${key.slice("src/routes/".length, -".svelte".length)}`,
    sum(files),
    budget.route_gzip_bytes,
  );
}
if (routes.length === 0) throw new Error("the manifest names no routes");
console.log(`size: ${failed === 0 ? "all within the budget" : `${failed} above the budget`}`);
process.exit(failed === 0 ? 0 : 1);
