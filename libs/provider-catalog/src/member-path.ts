const textCharsMax = 256;

/**
 * The texts that stand at a place of a JSON document, such as `event.tokens.bot[]`.
 *
 * Own members only, texts and whole numbers only: ids are nothing else, and `__proto__` is no id.
 *
 * @internal
 */
export function itemsAt(document: unknown, path: string): string[] {
  let found: unknown[] = [document];
  for (const step of path.split('.')) {
    const name = step.replace('[]', '');
    found = found
      .filter((value) => isObject(value) && Object.hasOwn(value, name))
      .map((value) => memberOf(value, name));
    if (step.endsWith('[]')) found = found.flatMap((value) => (Array.isArray(value) ? (value as unknown[]) : []));
  }
  return found.map(textOf).filter((text) => text !== undefined);
}

/** The one text at a place; undefined where there is none, or where there are several. @internal */
export function textAt(document: unknown, path: string): string | undefined {
  const [only, ...others] = itemsAt(document, path);
  return others.length === 0 ? only : undefined;
}

/** A copy of a JSON document without what stands at these places. */
export function withoutMembers(document: unknown, paths: readonly string[]): unknown {
  const copy = structuredClone(document);
  for (const path of paths) {
    const names = path.split('.').map((step) => step.replace('[]', ''));
    remove(copy, names);
  }
  return copy;
}

function remove(value: unknown, [name, ...rest]: readonly string[]): void {
  if (Array.isArray(value)) return value.forEach((item) => remove(item, [name ?? '', ...rest]));
  if (!isObject(value) || name === undefined || !Object.hasOwn(value, name)) return;
  if (rest.length === 0) Reflect.deleteProperty(value, name);
  else remove(memberOf(value, name), rest);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function memberOf(value: unknown, name: string): unknown {
  return Reflect.get(value as object, name);
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  return typeof value === 'string' && value !== '' && value.length <= textCharsMax && value.isWellFormed()
    ? value
    : undefined;
}
