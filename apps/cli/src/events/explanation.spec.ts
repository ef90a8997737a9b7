import { Explanation, type EventPlace } from './explanation.ts';

const by = (type: string, revision: number): EventPlace => ({
  type,
  position: 10 * revision,
  revision,
  at: '2026-11-28T12:00:00.000Z',
  actor: { type: 'service', id: 'spec' },
});

const told = (explanation: Explanation) =>
  Object.fromEntries(explanation.parts().map(({ part, value, set_by }) => [part, [value, set_by.type]]));

test('each part is laid to the event that gave it the value it has', () => {
  const explanation = new Explanation();
  const first = { label: 'pending', claim: null, scopes: ['a'] };
  const second = { label: 'pending', claim: { id: 'one', endsAtMs: 1 }, scopes: ['a'] };
  const third = { label: 'authorized', claim: { id: 'two', endsAtMs: 1 }, scopes: ['a', 'b'] };
  explanation.note({ label: null, claim: null, scopes: [] }, first, by('Started', 1));
  explanation.note(first, second, by('Claimed', 2));
  explanation.note(second, third, by('Done', 3));
  expect(told(explanation)).toEqual({
    label: ['authorized', 'Done'],
    'claim.id': ['two', 'Done'],
    'claim.endsAtMs': [1, 'Claimed'],
    scopes: [['a', 'b'], 'Done'],
  });
});

test('what is gone is laid to nobody, and what took its place to whoever put it there', () => {
  const explanation = new Explanation();
  explanation.note({ claim: null }, { claim: { id: 'one' } }, by('Claimed', 1));
  explanation.note({ claim: { id: 'one' } }, { claim: null }, by('Released', 2));
  expect(told(explanation)).toEqual({ claim: [null, 'Released'] });
});
