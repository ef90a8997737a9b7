import { readFileSync } from 'node:fs';

import { connectionEvents, eventDefinitions, limits, StoredEvent, type ConnectionEvent } from '@postern/contracts';
import { z } from 'zod';

import { connectionEvolver } from './connection/evolve.ts';
import type { Connection } from './connection/state.ts';
import { fold } from './evolver.ts';
import { claimed, connected, metaAt, stateOf, the } from './spec-support/connection.ts';
import { codeOf, startMs } from './spec-support/given.ts';
import { upcast, upcasterOf, type UpcasterTable } from './upcast.ts';

/**
 * How an event changes its shape, worked through on an imagined next release: `RefreshFailed` version 2 holds the
 * provider's answer as one object, and `httpStatus` may no longer be null (0 where there was no answer).
 *
 * The release writes version 2, and lifts what its predecessors wrote at read; the stored bytes and the golden file
 * stay. The meaning is the old one: were it another, the event would get another name.
 */
const version2 = z.object({
  claimId: z.string(),
  answer: z.object({ error: z.string().max(limits.providerWordsCharsMax), httpStatus: z.number().int() }),
  nextAttemptAtMs: z.number(),
});
const definitions = new Map<string, { version: number; data: z.ZodType }>([
  ...eventDefinitions,
  ['RefreshFailed', { version: 2, data: version2 }],
]);
const upcasters: UpcasterTable = {
  'RefreshFailed.v1': ({ error, httpStatus, ...kept }) => ({ ...kept, answer: { error, httpStatus: httpStatus ?? 0 } }),
};
const nextRelease = upcasterOf({ upcasters, definitions });

const golden = (file: string): StoredEvent =>
  StoredEvent.parse(JSON.parse(readFileSync(new URL(`../golden/${file}`, import.meta.url), 'utf8')));

/** The next release's fold: of version 2 alone. */
function evolveNext(state: Connection, event: ConnectionEvent): Connection {
  if (event.type !== 'RefreshFailed') return connectionEvolver.evolve(state, event, metaAt(startMs));
  const { answer, ...kept } = event.data as unknown as z.infer<typeof version2>;
  return connectionEvolver.evolve(state, the.failed({ ...kept, ...answer }), metaAt(startMs));
}

describe('an event whose shape changes: version 1 to 2', () => {
  const written = golden('RefreshFailed.v1.json');

  test('what the last release wrote is read in the new shape', () => {
    expect(nextRelease(written)).toEqual({
      type: 'RefreshFailed',
      version: 2,
      data: {
        claimId: written.data['claimId'],
        answer: { error: written.data['error'], httpStatus: written.data['httpStatus'] },
        nextAttemptAtMs: written.data['nextAttemptAtMs'],
      },
    });
  });

  test('old and new fold to the same state, which is the one that the last release had', () => {
    const state = stateOf(claimed);
    const old = evolveNext(state, nextRelease(written) as ConnectionEvent);
    const rewritten = { ...written, version: 2, data: nextRelease(written).data };
    expect(evolveNext(state, nextRelease(rewritten) as ConnectionEvent)).toEqual(old);
    expect(connectionEvolver.evolve(state, upcast(written) as ConnectionEvent, metaAt(startMs))).toEqual(old);
    expect(old).not.toEqual(state);
  });

  test('the stored event is not touched by the lifting', () => {
    const before = JSON.stringify(written);
    nextRelease(written);
    expect(JSON.stringify(written)).toBe(before);
  });

  test('a new version that forgot its upcaster stops at what the last release wrote, and at nothing else', () => {
    const forgetful = upcasterOf({ upcasters: {}, definitions });
    expect(codeOf(() => forgetful(written))).toBe('log.version_unknown');
    for (const event of claimed) expect(forgetful(event)).toEqual(event);
  });

  test('an upcaster that does not lift far enough is found by the schema', () => {
    const lazy = upcasterOf({ upcasters: { 'RefreshFailed.v1': (data) => data }, definitions });
    expect(codeOf(() => lazy(written))).toBe('log.message_damaged');
  });
});

describe('an event from the future', () => {
  const foldStored = (events: readonly StoredEvent[]) =>
    fold(
      connectionEvolver,
      events.map((event) => ({ event: upcast(event) as ConnectionEvent, meta: metaAt(startMs) })),
    );
  const future = { type: 'RefreshFailed', version: connectionEvents.RefreshFailed.version + 1, data: {} };

  test('stops its own aggregate with a code, and no other', () => {
    const aggregates = new Map<string, readonly StoredEvent[]>([
      ['before', claimed],
      ['stopped', [...claimed, future, the.revoked()]],
      ['behind', connected],
    ]);
    const outcomes = [...aggregates].map(([name, events]) =>
      name === 'stopped' ? codeOf(() => foldStored(events)) : foldStored(events).authorization,
    );
    expect(outcomes).toEqual(['authorized', 'log.version_unknown', 'authorized']);
  });

  test('is never skipped: no state is folded that never was', () => {
    expect(codeOf(() => foldStored([...connected, future]))).toBe('log.version_unknown');
    expect(codeOf(() => foldStored([future]))).toBe('log.version_unknown');
    expect(codeOf(() => foldStored([...connected, { ...future, type: 'ConnectionBlessed' }]))).toBe(
      'log.version_unknown',
    );
  });

  test('after the upgrade the same history folds', () => {
    const { error, httpStatus, ...kept } = golden('RefreshFailed.v1.json').data;
    const history = [...claimed, { ...future, data: { ...kept, answer: { error, httpStatus } } }];
    const state = history.reduce(
      (before, event) => evolveNext(before, nextRelease(event) as ConnectionEvent),
      connectionEvolver.initialState,
    );
    expect(state.health.status).toBe('degraded');
  });
});
