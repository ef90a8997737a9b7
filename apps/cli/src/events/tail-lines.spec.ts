import { newId } from '@postern/contracts';

import { tailFilterOf } from './tail.ts';
import { dayLine, tailLine, type TailedEvent } from './tail-lines.ts';

const event: TailedEvent = {
  ...{ position: 7, revision: 2, version: 1, commit_id: 'cmt_1', correlation_id: 'cor_1' },
  at: '2026-11-28T20:06:19.123Z',
  actor: { type: 'service', id: 'refresh' },
  type: 'RefreshFailed',
  data: {
    claimId: 'clm_01m8hxcq66f3xa8d9015bmzq17',
    error: 'slow_down\u001b[2J',
    httpStatus: 429,
    nextAttemptAtMs: 1_795_896_400_000,
    nothing: null,
    more: {},
  },
  connection_id: 'con_01m8hw1n33e1cvw0jafkycqfw4',
};
const terminal = Object.getOwnPropertyDescriptor(process.stdout, 'isTTY');
const noColor = process.env['NO_COLOR'];

afterEach(() => {
  Object.defineProperty(process.stdout, 'isTTY', terminal ?? { value: undefined, configurable: true });
  if (noColor === undefined) delete process.env['NO_COLOR'];
  else process.env['NO_COLOR'] = noColor;
});

test('a line says when, where, what, who and why, and nothing that moves a terminal', () => {
  expect(tailLine(event, undefined)).toBe(
    '20:06:19.123  con_01m8hw1n33e1cvw0jafkycqfw4  RefreshFailed                 service:refresh' +
      '  error=slow_down·[2J httpStatus=429 nextAttemptAtMs=2026-11-28T20:06:40Z claimId=clm_01m8hxcq66f3xa8d9015bmzq17',
  );
});

test('on a terminal a line is one line', () => {
  const line = tailLine(event, 80);
  expect(line.length).toBeLessThanOrEqual(80);
  expect(line).toMatch(/^20:06:19\.123 {2}…fkycqfw4 {2}RefreshFailed /);
  expect(line.endsWith('…')).toBe(true);
  expect(tailLine(event, 200)).toMatch(/ claimId=…\w{8}$/);
  expect(tailLine(event, 10).includes('\n')).toBe(false);
});

test('colours are for a terminal whose owner wants them', () => {
  Object.defineProperty(process.stdout, 'isTTY', { value: true, configurable: true });
  delete process.env['NO_COLOR'];
  expect(tailLine(event, 120)).toContain('\u001b[33mRefreshFailed');
  expect(tailLine({ ...event, type: 'ConnectionRevoked' }, 120)).toContain('\u001b[31mConnectionRevoked');
  process.env['NO_COLOR'] = '';
  expect(tailLine(event, 120)).not.toContain('\u001b');
  expect(dayLine(event.at)).toBe('── 2026-11-28 (UTC)');
});

test('filters are read, and what means nothing is refused', () => {
  const tenantId = newId('tenant');
  const connection = newId('connection');
  expect(tailFilterOf(tenantId, { connection, type: 'ConnectionRevoked, RefreshFailed', last: '5' })).toEqual({
    filter: `connection.1.${tenantId}.${connection}`,
    types: new Set(['ConnectionRevoked', 'RefreshFailed']),
    last: 5,
  });
  for (const options of [{ type: 'ConnectionRevokd' }, { last: '-1' }, { last: 'x' }, { connection: '>' }]) {
    expect(() => tailFilterOf(tenantId, options)).toThrow(expect.objectContaining({ code: 'request.malformed' }));
  }
});
