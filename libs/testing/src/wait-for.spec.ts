import { waitFor } from './wait-for.ts';

test('the first truthy value comes back', async () => {
  const values = [undefined, 0, '', false, 'here'];
  expect(await waitFor(() => values.shift(), { describe: 'a value' })).toBe('here');
});

test('what does not come is told, with the state of things', async () => {
  const waiting = waitFor(() => false, { timeoutMs: 5, describe: async () => 'seen 2 of 3' });
  await expect(waiting).rejects.toThrow('waited 5 ms in vain: seen 2 of 3');
});

test('an error of the predicate ends the wait at once', async () => {
  const failing = waitFor(() => Promise.reject(new Error('broken')), { describe: 'nothing' });
  await expect(failing).rejects.toThrow('broken');
});
