import { chmodSync, rmSync, statSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { build } from "esbuild";

/*
 * npm run build [-- FOLDER]: one CommonJS file per entry in dist/, or in the folder that is named, which it empties.
 * CommonJS, because built-in modules taken by `require` load a third less than by `import`, and modules behind `import()`
 * run only when they are first asked for: memory counts in a sidecar.
 */

const root = join(import.meta.dirname, "..");
const dist = resolve(process.argv[2] ?? join(root, "dist"));

/** What is started, by the command line or as a worker thread; the names in `dist/` are what they look for. */
const entries: Readonly<Record<string, string>> = {
  outrider: join(root, "bin", "outrider.ts"),
  "data-thread": join(root, "src", "data-thread.ts"),
  "parse-thread": join(root, "src", "config", "source", "parse-thread.ts"),
};

rmSync(dist, { recursive: true, force: true });
await build({
  entryPoints: { ...entries },
  outdir: dist,
  outExtension: { ".js": ".cjs" },
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node22",
  // From node_modules at run time: native code, and what few configurations or commands need. Text that lies in the bundle takes
  // memory in every thread, whether it runs or not.
  external: ["@grpc/grpc-js", "koffi", "jose", "node-forge", "undici"],
  // What ES modules know of themselves, in CommonJS.
  define: { "import.meta.filename": "__filename", "import.meta.dirname": "__dirname", "import.meta.url": "moduleUrl" },
  banner: { js: 'const moduleUrl = require("node:url").pathToFileURL(__filename).href;' },
  legalComments: "linked",
  logLevel: "warning",
});

for (const name of Object.keys(entries)) {
  const file = join(dist, `${name}.cjs`);
  process.stdout.write(`${relative(root, file)} ${Math.ceil(statSync(file).size / 1024)} KiB\n`);
}
chmodSync(join(dist, "outrider.cjs"), 0o755);
