#!/usr/bin/env node
/**
 * The `postern` command. Runs the built command line on the project's own Node (26), whatever `node` the machine has,
 * and builds it first where nothing was built yet.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import module, { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { freshBundle } from './fresh-bundle.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../../..');
const main = join(here, '../dist/main.js');
const majorWanted = 26;

function projectNode() {
  if (Number(process.versions.node.split('.')[0]) >= majorWanted) return process.execPath;
  try {
    const manifest = createRequire(import.meta.url).resolve('node/package.json');
    const binary = join(dirname(manifest), 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    if (existsSync(binary)) return binary;
  } catch {
    // Not installed: said below.
  }
  console.error(`postern needs Node ${majorWanted}. Run \`npm ci\` in the project, which brings it.`);
  process.exit(3);
}

if (!existsSync(main)) {
  console.error('postern: building once, which takes a minute or two');
  const { status } = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b'], {
    cwd: root,
    stdio: ['ignore', process.stderr, 'inherit'],
  });
  if (status !== 0) process.exit(3);
}

const node = projectNode();
if (node === process.execPath) {
  // Within the installation, where who may write could change the program itself as well.
  module.enableCompileCache(join(root, 'node_modules/.cache/postern-compile'));
  const bundle = freshBundle(root);
  // An app is loaded by its name: here it is a file of the bundle.
  if (bundle !== undefined) module.registerHooks({ resolve: bundle.resolve });
  await import(bundle?.main ?? main);
} else {
  const args = ['--disable-warning=ExperimentalWarning', fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  const stdio = process.send === undefined ? 'inherit' : ['inherit', 'inherit', 'inherit', 'ipc'];
  const child = spawn(node, args, { stdio });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));
}
