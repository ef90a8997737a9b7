import { newId } from '@postern/contracts';

import { selectionOf } from './selection.ts';

const tenantId = newId('tenant');

test('without options it is the whole tenant', () => {
  expect(selectionOf(tenantId, {})).toMatchObject({ filter: `connection.1.${tenantId}.*`, atMs: undefined });
});

test('a time is read to the millisecond', () => {
  expect(selectionOf(tenantId, { at: '2026-11-22T12:00:00.001Z' }).atMs).toBe(Date.parse('2026-11-22T12:00:00.001Z'));
});

test.each([
  [{ connection: 'con_*' }],
  [{ connection: '>' }],
  [{ connection: tenantId }],
  [{ from: '0' }],
  [{ to: 'x' }],
  [{ at: 'yesterday' }],
])('%j is refused as malformed', (options) => {
  expect(() => selectionOf(tenantId, options)).toThrow(expect.objectContaining({ code: 'request.malformed' }));
});
