#!/usr/bin/env node
/**
 * `npm run build`, second half: puts the command line and the services, as built, into few files with the packages that
 * take long to load. `bin/postern.mjs` runs these where they are newer than what they were made of (docs/adr/0057): a
 * service would otherwise read two thousand files before its first line, and every command some hundred.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, sep } from 'node:path';

import { build } from 'esbuild';

const root = dirname(import.meta.dirname);
const folder = join(root, 'apps/cli/dist/bundle');
/**
 * Of many files each, and the same wherever they stand. Others stay outside: those with native parts (argon2) and those
 * that are seldom loaded. One of these that uses a package of here has another copy of it: so nothing of Nest's, of
 * MikroORM's or of OpenTelemetry's is outside.
 */
const inside = [
  /^@(nestjs|mikro-orm|nats-io|opentelemetry|modelcontextprotocol)\//,
  /^(rxjs|zod|jose|oauth4webapi|yaml|lru-cache|commander)$/,
];
/** They belong to the process: one changes a global, the other starts threads from its own files. */
const outside = new Set(['reflect-metadata', 'pino']);
/** A process that runs may load more of the parts that it began with. */
const keptMs = 24 * 3_600_000;

const isOwn = (path) => /^(apps|libs)\/[^/]+\/dist\//.test(relative(root, path).split(sep).join('/'));

const split = {
  name: 'what is inside',
  setup({ onResolve, onLoad, resolve }) {
    onResolve({ filter: /^[^./]/ }, async ({ path, importer, kind, resolveDir, pluginData }) => {
      if (pluginData === split || kind === 'entry-point' || path.startsWith('@postern/')) return undefined;
      if (outside.has(path)) return { path, external: true };
      // Loaded when it is wanted, it is loaded as it is: in a part of its own, a CommonJS package would lose its names.
      const isInside = kind !== 'dynamic-import' && inside.some((one) => one.test(path));
      if (isOwn(importer)) return isInside ? undefined : { path, external: true };
      // What a package would use if it were installed stays a question for when it runs.
      const { errors } = await resolve(path, { importer, kind, resolveDir, pluginData: split });
      return errors.length > 0 ? { path, external: true } : undefined;
    });
    // A file's own address leads to what lies beside it, so it stays what it was.
    onLoad({ filter: /\.js$/ }, ({ path }) => {
      if (!isOwn(path)) return undefined;
      const address = JSON.stringify(relative(folder, path).split(sep).join('/'));
      const text = readFileSync(path, 'utf8');
      return { contents: text.replaceAll('import.meta.url', `new URL(${address}, import.meta.url).href`) };
    });
  },
};

const apps = readdirSync(join(root, 'apps')).filter((name) => name !== 'cli');
const entryPoints = Object.fromEntries([
  ['main', join(root, 'apps/cli/dist/main.js')],
  ...apps.map((name) => [`app-${name}`, join(root, 'apps', name, 'dist/index.js')]),
]);
const isEntry = (name) => Object.hasOwn(entryPoints, basename(name, '.js'));
const fresh = `${folder}.${process.pid}`;
try {
  await build({
    absWorkingDir: root,
    entryPoints,
    outdir: fresh,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node26',
    // As Node does: no file for bundlers, where a package has one.
    conditions: ['node'],
    mainFields: ['main'],
    // Nest and MikroORM know classes by their names.
    keepNames: true,
    banner: {
      js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
    },
    plugins: [split],
    logLevel: 'warning',
  });
  mkdirSync(folder, { recursive: true });
  // Parts first, by names that say what is in them; then what names the parts.
  const made = readdirSync(fresh).toSorted((a, b) => Number(isEntry(a)) - Number(isEntry(b)));
  for (const name of made) renameSync(join(fresh, name), join(folder, name));
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (!made.includes(name) && Date.now() - statSync(path).mtimeMs > keptMs) rmSync(path);
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
