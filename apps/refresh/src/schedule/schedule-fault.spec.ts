import { faultOf } from './schedule-fault.ts';
import { scheduleLimits } from './schedule-limits.ts';

const atMs = 1_000_000;
const plan = { clock: 'access_token', atMs, credentialVersion: 2 } as const;
const nothing = { schedule: null, dueStands: false };
const fitting = { schedule: { dueAtMs: atMs, credentialVersion: 2 }, dueStands: false };
const long = scheduleLimits.lateAfterMs;

test.each([
  ['a schedule that fits', plan, fitting, atMs - 1, undefined],
  ['nothing, where nothing is planned', undefined, nothing, atMs, undefined],
  ['nothing, where something is planned', plan, nothing, atMs - 1, 'missing'],
  ['a schedule where nothing is planned', undefined, fitting, atMs - 1, 'stray'],
  ['another time', plan, { ...fitting, schedule: { dueAtMs: atMs + 1, credentialVersion: 2 } }, atMs, 'moved'],
  ['another version', plan, { ...fitting, schedule: { dueAtMs: atMs, credentialVersion: 1 } }, atMs, 'moved'],
  ['a schedule that has just become due', plan, fitting, atMs + long, undefined],
  ['a schedule that should have become due long ago', plan, fitting, atMs + long + 1, 'overdue'],
  [
    'a due message, which wakes somebody who looks',
    plan,
    { schedule: null, dueStands: true },
    atMs + long + 1,
    undefined,
  ],
] as const)('%s', (_name, planned, standing, nowMs, fault) => {
  expect(faultOf(planned, standing, nowMs)).toBe(fault);
});
