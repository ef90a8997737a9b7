import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const appPackage = /^@postern\/(app-[a-z]+)$/;

const changedMs = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs;

/**
 * What tools/bundle.mjs made of the built command line and services, where that was after all of them were built and
 * after the packages were last changed; undefined otherwise, so that nobody runs what they did not build.
 *
 * @returns `main`, the address of the command line, and a `resolve` hook that finds the apps by their packages' names.
 */
export function freshBundle(root) {
  const folder = join(root, 'apps/cli/dist/bundle');
  const bundledMs = changedMs(join(folder, 'main.js'));
  if (bundledMs === undefined) return undefined;
  const projects = ['apps', 'libs'].flatMap((kind) =>
    readdirSync(join(root, kind)).map((name) => join(root, kind, name)),
  );
  const madeOf = [join(root, 'package-lock.json'), ...projects.map((project) => join(project, 'dist/.tsbuildinfo'))];
  if (madeOf.some((path) => !(changedMs(path) <= bundledMs))) return undefined;
  const address = (name) => pathToFileURL(join(folder, `${name}.js`)).href;
  return {
    main: address('main'),
    resolve: (specifier, context, next) => {
      const app = appPackage.exec(specifier)?.[1];
      return app === undefined ? next(specifier, context) : { url: address(app), format: 'module', shortCircuit: true };
    },
  };
}
