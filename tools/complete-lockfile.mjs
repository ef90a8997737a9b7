#!/usr/bin/env node
/**
 * Adds to package-lock.json the optional packages of other platforms that `npm install` left out.
 *
 * A registry may lack some of them; npm then drops them from the lockfile, and `npm ci` refuses with
 * "Missing … from lock file". Run after each `npm install`; `--check` only tells whether it is needed.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const path = new URL('../package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(path, 'utf8'));

/** Where Node would find `name` from the package at `from`, as keys of the lockfile. */
function* candidates(from, name) {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    yield at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`;
    if (at === '') return;
  }
}

const platformOf = (name) => {
  const os = /(linux|darwin|win32|windows|freebsd|android|openbsd|netbsd|sunos|aix|openharmony)/.exec(name)?.[1];
  const cpu = /(x64|arm64|arm|ia32|ppc64|riscv64|s390x|loong64|mips64el|wasm32)/.exec(name)?.[1];
  const libc = name.includes('musl') ? 'musl' : name.includes('gnu') && os === 'linux' ? 'glibc' : undefined;
  return {
    ...(os && { os: [os === 'windows' ? 'win32' : os] }),
    ...(cpu && { cpu: [cpu] }),
    ...(libc && { libc: [libc] }),
  };
};

const missing = [];
for (const [from, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if ([...candidates(from, name)].some((key) => key in lock.packages)) continue;
    missing.push([
      `node_modules/${name}`,
      { version: version.replace(/^[\^~=]/, ''), ...platformOf(name), optional: true },
    ]);
  }
}

if (missing.length > 0 && process.argv.includes('--check')) {
  console.error(`package-lock.json lacks ${missing.length} optional packages; run: npm run complete-lockfile`);
  process.exit(1);
}
for (const [key, entry] of missing) lock.packages[key] = entry;
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
if (missing.length > 0) writeFileSync(path, JSON.stringify(lock, null, 2) + '\n');
console.error(`package-lock.json: ${missing.length} optional packages added`);
