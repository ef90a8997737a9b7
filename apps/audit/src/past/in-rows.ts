/** So many look-ups go on side by side. */
const sideBySide = 32;

/** Does the same with each, some at a time, and keeps their order. */
export async function inRows<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += sideBySide) {
    results.push(...(await Promise.all(items.slice(at, at + sideBySide).map(work))));
  }
  return results;
}
