import { Logger } from './logger.ts';
import { shutDown } from './shutdown.ts';

const logger = new Logger({ level: 'silent', base: {} });

describe('a shutdown', () => {
  test('takes its steps in order, and a failing one keeps no other from running', async () => {
    const seen: string[] = [];
    const step = (name: string, run = async () => {}) => ({ name, run: async () => (seen.push(name), await run()) });
    const failing = step('b', async () => Promise.reject(new Error('no')));
    expect(await shutDown([step('a'), failing, step('c')], 60_000, logger)).toBe(true);
    expect(seen).toEqual(['a', 'b', 'c']);
  });

  test('goes on without what does not end within the grace, and says so', async () => {
    const seen: string[] = [];
    const never = { name: 'never', run: () => new Promise<never>(() => {}) };
    const last = { name: 'last', run: async () => void seen.push('last') };
    expect(await shutDown([never, last], 0, logger)).toBe(false);
    expect(seen).toEqual(['last']);
  });
});
