import { defineConfig } from "vite";

export default defineConfig({
  esbuild: { jsx: "automatic" },
  define: { "process.env.NODE_ENV": '"production"', "process.env": "{}", global: "window" },
  build: { chunkSizeWarningLimit: 20000, target: "es2022", outDir: "dist" },
});
