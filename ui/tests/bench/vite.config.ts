// SPDX-License-Identifier: Apache-2.0
/* The page of map.ts as a release build in build/ui/bench: npx vite build -c tests/bench/vite.config.ts */
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [svelte()],
  base: "/",
  build: {
    outDir: "../build/ui/bench",
    emptyOutDir: true,
    target: "es2022",
    rollupOptions: { input: "tests/bench/map.html" },
  },
});
