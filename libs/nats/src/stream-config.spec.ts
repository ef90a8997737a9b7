import { streams } from '@postern/contracts';

import { streamConfigOf, streamDifferences } from './stream-config.ts';

const wanted = streamConfigOf(streams.admin);
const fieldsOf = (found: Record<string, unknown>) =>
  streamDifferences(wanted, { ...wanted, ...found }).map(({ field }) => field);

describe('comparing a stream with what it must be', () => {
  test('the same configuration has no differences, in whatever order its subjects come', () => {
    expect(fieldsOf({})).toEqual([]);
    const refresh = streamConfigOf(streams.refresh);
    expect(streamDifferences(refresh, { ...refresh, subjects: refresh.subjects.toReversed() })).toEqual([]);
  });

  test('what the server leaves out is false', () => {
    const { sealed: _sealed, no_ack: _noAck, allow_msg_ttl: _ttl, ...found } = wanted;
    expect(streamDifferences(wanted, found)).toEqual([]);
    const { deny_delete: _denyDelete, ...unprotected } = wanted;
    expect(streamDifferences(wanted, unprotected).map(({ field }) => field)).toEqual(['deny_delete']);
  });

  test.each(Object.keys(wanted))('a difference in %s is named', (field) => {
    const changed = {
      persist_mode: 'async',
      subjects: ['other.>'],
      name: 'OTHER',
      retention: 'interest',
      storage: 'memory',
      discard: 'old',
    };
    const value = wanted[field as keyof typeof wanted];
    const other = typeof value === 'boolean' ? !value : typeof value === 'number' ? value - 1 : undefined;
    expect(fieldsOf({ [field]: other ?? changed[field as keyof typeof changed] })).toEqual([field]);
  });

  test('more room than wanted is no difference, no limit at all is one', () => {
    expect(fieldsOf({ max_bytes: wanted.max_bytes * 2 })).toEqual([]);
    expect(fieldsOf({ max_bytes: -1 })).toEqual(['max_bytes']);
  });

  test('only what can be made again from the log may be acknowledged before it is synced, and nothing must', () => {
    expect(fieldsOf({ persist_mode: 'async' })).toEqual(['persist_mode']);
    const unsynced = Object.values(streams).filter((spec) => streamConfigOf(spec).persist_mode === 'async');
    expect(unsynced).toEqual([streams.refresh]);
    const { persist_mode: _persistMode, ...synced } = streamConfigOf(streams.refresh);
    expect(streamDifferences(streamConfigOf(streams.refresh), synced)).toEqual([]);
  });

  test('a stream that an older build made without a way to cut it is no difference, one that may be cut unasked is', () => {
    const cut = streamConfigOf(streams.connections);
    expect([cut.deny_purge, streamDifferences(cut, { ...cut, deny_purge: true })]).toEqual([false, []]);
    expect([wanted.deny_purge, fieldsOf({ deny_purge: false })]).toEqual([true, ['deny_purge']]);
  });

  test.each([
    ['mirror', { name: 'X' }],
    ['sources', [{ name: 'X' }]],
    ['republish', { src: '>', dest: 'x.>' }],
    ['subject_transform', { src: '>', dest: 'x.>' }],
    ['first_seq', 100],
  ])('%s is never wanted', (field, value) => {
    expect(fieldsOf({ [field]: value })).toEqual([field]);
  });
});
