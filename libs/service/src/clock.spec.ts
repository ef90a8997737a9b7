import { Clock } from './clock.ts';

const clock = new Clock();

test('a sleep that is called off ends at once, with the reason', async () => {
  const stopping = new AbortController();
  const reason = new Error('stopping');
  const asleep = clock.sleep(3_600_000, { signal: stopping.signal });
  stopping.abort(reason);
  await expect(asleep).rejects.toBe(reason);
  await expect(clock.sleep(0, { signal: stopping.signal })).rejects.toBe(reason);
});

test('what was called off does not run', async () => {
  const ran: string[] = [];
  const callOff = clock.after(1, () => void ran.push('called off'));
  const { promise, resolve } = Promise.withResolvers<void>();
  clock.after(2, resolve);
  callOff();
  await promise;
  expect(ran).toEqual([]);
});
