import { newId } from '@postern/contracts';

import { selectionOf } from './selection.ts';

const tenantId = newId('tenant');

test('without options it is the whole tenant', () => {
  expect(selectionOf(tenantId, {})).toMatchObject({ filter: expect.stringContaining(tenantId), atMs: undefined });
});

test('a time is read to the millisecond', () => {
  expect(selectionOf(tenantId, { at: '2026-11-22T12:00:00.001Z' }).atMs).toBe(Date.parse('2026-11-22T12:00:00.001Z'));
});

test('an id tells by itself what it is of, and where that stands', () => {
  const registration = newId('registration');
  expect(selectionOf(tenantId, {}, registration)).toMatchObject({
    stream: 'admin',
    filter: `admin.${tenantId}.registration.${registration}`,
    aggregate: { kind: 'registration', id: registration },
  });
  const other = newId('tenant');
  expect(selectionOf(tenantId, {}, other).filter).toBe(`admin.${other}.tenant.${other}`);
  expect(selectionOf(tenantId, {}, newId('connection')).stream).toBe('connections');
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

test.each(['reg_x', 'lse_01jd0000000000000000000000', 'reg_*', '>'])('the id %s is refused as malformed', (id) => {
  expect(() => selectionOf(tenantId, {}, id)).toThrow(expect.objectContaining({ code: 'request.malformed' }));
});
