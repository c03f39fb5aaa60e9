// SPDX-License-Identifier: Apache-2.0
/*
 * Built files go to build/ui/dist of the repository, whence tools/pack-site takes them into the
 * binary. `npm run dev` serves the sources and passes the API on to the server at GPUSTACK_URL.
 */
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

const server = process.env["GPUSTACK_URL"] ?? "http://127.0.0.1:8080";
const passed = ["/v1", "/v2", "/auth", "/version", "/docs", "/openapi.json", "/metrics"];

export default defineConfig({
  plugins: [svelte()],
  base: "/",
  build: {
    outDir: "../build/ui/dist",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0, // The content security policy has no data: for scripts and styles.
    reportCompressedSize: false,
    manifest: "manifest.json", // For tests/tools/size.mjs; moved out of what is packed.
  },
  worker: { format: "es" },
  server: {
    proxy: Object.fromEntries(passed.map((path) => [path, { target: server }])),
  },
  test: {
    include: ["tests/unit/**/*.test.ts"],
    environment: "node",
    setupFiles: ["tests/unit/setup.ts"],
  },
} as Parameters<typeof defineConfig>[0]);
