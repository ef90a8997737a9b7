import { adminEvents, connectionEvents, eventDefinitions, type StoredEvent } from '@postern/contracts';

import { codeOf } from './spec-support/given.ts';
import { upcast, upcasterOf, type UpcasterTable } from './upcast.ts';

const claimId = 'clm_01jd0000000000000000000001';
const stored = (more: Partial<StoredEvent> = {}): StoredEvent => ({
  type: 'RefreshTokenReleased',
  version: 1,
  data: { claimId },
  ...more,
});

/** An imagined future in which this event has had two earlier shapes. */
const definitions = new Map([['RefreshTokenReleased', { ...connectionEvents.RefreshTokenReleased, version: 3 }]]);
const upcasters: UpcasterTable = {
  'RefreshTokenReleased.v1': ({ id }) => ({ name: id }),
  'RefreshTokenReleased.v2': ({ name }) => ({ claimId: name }),
};

test('an event of the newest version stays as it is', () => {
  expect(upcast(stored())).toEqual(stored());
});

test('an older version is lifted one version at a time', () => {
  const lift = upcasterOf({ upcasters, definitions });
  expect(lift(stored({ data: { id: claimId } }))).toEqual(stored({ version: 3 }));
  expect(lift(stored({ version: 2, data: { name: claimId } }))).toEqual(stored({ version: 3 }));
  expect(lift(stored({ version: 3 }))).toEqual(stored({ version: 3 }));
});

test('a version of the future stops the fold', () => {
  expect(codeOf(() => upcast(stored({ version: 2 })))).toBe('log.version_unknown');
});

test('an unknown type stops the fold', () => {
  expect(codeOf(() => upcast(stored({ type: 'ConnectionBlessed' })))).toBe('log.version_unknown');
});

test('an old version that nothing lifts stops the fold', () => {
  const lift = upcasterOf({ upcasters: {}, definitions });
  expect(codeOf(() => lift(stored({ version: 2 })))).toBe('log.version_unknown');
});

test('data that do not fit are damage', () => {
  expect(codeOf(() => upcast(stored({ data: { claimId: 'clm_*' } })))).toBe('log.message_damaged');
  expect(codeOf(() => upcast(stored({ data: {} })))).toBe('log.message_damaged');
});

test('an optional field of a later release is left out, not refused', () => {
  expect(upcast(stored({ data: { claimId, later: true } }))).toEqual(stored());
});

test('every event type is known', () => {
  const types = [...Object.keys(connectionEvents), ...Object.keys(adminEvents)];
  expect([...eventDefinitions.keys()].toSorted()).toEqual(types.toSorted());
});
