import { connectionEvents, type ConnectionEvent } from '@postern/contracts';
import * as fc from 'fast-check';

import { fold } from '../evolver.ts';
import { live, lives, typesOf, type Moment } from '../spec-support/life.ts';
import { metaAt, owner, the, ses, clm } from '../spec-support/connection.ts';
import { codeOf, startMs } from '../spec-support/given.ts';
import { connectionEvolver } from './evolve.ts';
import { freshnessOf } from './freshness.ts';
import { leaseDecision } from './lease-decision.ts';
import { noConnection } from './state.ts';

const runs = { numRuns: 500 };
const text = (value: unknown) => JSON.stringify(value);

/** Holds at every moment of every life. The books are kept from events alone, and know nothing of the state. */
function always<Book>(book: () => Book, rule: (book: Book, moment: Moment) => void): void {
  fc.assert(
    fc.property(lives, (steps) => {
      const kept = book();
      for (const moment of live(steps).moments) rule(kept, moment);
    }),
    runs,
  );
}

const endsItsClaim = new Set<string>(['RefreshFailed', 'RefreshRejected', 'RefreshInterrupted']);
const endsEveryClaim = new Set<string>([
  'AccessTokenRefreshed',
  'ConnectionAuthorized',
  'ConnectionReauthorized',
  'ConnectionRevoked',
  'DeletionRequested',
]);

/** Claims that were begun and have not ended, as an observer of the events counts them. */
function countClaims(claims: Set<string>, { type, data }: ConnectionEvent): void {
  if (type === 'RefreshStarted') claims.add(data.claimId);
  if (endsItsClaim.has(type) && 'claimId' in data) claims.delete(data.claimId);
  if (endsEveryClaim.has(type)) claims.clear();
}

describe('whatever is done, in whatever order', () => {
  test('no two claims live at once, and the state knows the one', () => {
    always(
      () => new Set<string>(),
      (claims, { events, after }) => {
        for (const event of events) {
          countClaims(claims, event);
          expect(claims.size).toBeLessThanOrEqual(1);
        }
        expect([...claims]).toEqual(after.claim === null ? [] : [after.claim.claimId]);
      },
    );
  });

  test('a refresh token is released once a claim, and only while the claim lives', () => {
    always(
      () => ({ claims: new Map<string, number>(), released: new Set<string>() }),
      ({ claims, released }, { events, nowMs }) => {
        for (const event of events) {
          if (event.type === 'RefreshStarted') {
            claims.set(event.data.claimId, event.data.claimExpiresAtMs);
            released.delete(event.data.claimId);
          }
          if (event.type !== 'RefreshTokenReleased') continue;
          expect(nowMs).toBeLessThan(claims.get(event.data.claimId) ?? 0);
          expect(released.has(event.data.claimId)).toBe(false);
          released.add(event.data.claimId);
        }
      },
    );
  });

  test('no lease between a revocation and a re-authorization, during a suspension, or after a deletion', () => {
    always(
      () => ({ authorized: false, suspended: false, deleted: false }),
      (book, { events, lease }) => {
        for (const type of typesOf(events)) {
          if (type === 'ConnectionAuthorized' || type === 'ConnectionReauthorized') book.authorized = true;
          if (type === 'ConnectionRevoked') book.authorized = false;
          if (type === 'ConnectionSuspended') book.suspended = true;
          if (type === 'ConnectionResumed') book.suspended = false;
          if (type === 'DeletionRequested') book.deleted = true;
        }
        if (!book.authorized || book.suspended || book.deleted) expect(lease).toBeNull();
      },
    );
  });

  test('no lease of a token that has ended or of a version that is not the newest', () => {
    always(
      () => ({ version: 0, endsAtMs: Number.POSITIVE_INFINITY }),
      (book, { events, lease, nowMs }) => {
        for (const { data } of events) {
          if (!('accessTokenExpiresAtMs' in data)) continue;
          expect(data.credentialVersion).toBeGreaterThan(book.version);
          book.version = data.credentialVersion;
          book.endsAtMs = data.accessTokenExpiresAtMs ?? Number.POSITIVE_INFINITY;
        }
        if (lease?.kind !== 'grant') return;
        expect(lease.credentialVersion).toBe(book.version);
        expect(book.endsAtMs).toBeGreaterThan(nowMs);
      },
    );
  });

  test('after an interruption one retry of a version, and none before its token has ended', () => {
    always(
      () => ({ interrupted: new Map<number, number>(), endsAtMs: 0 }),
      (book, { events, nowMs }) => {
        for (const { type, data } of events) {
          if ('accessTokenExpiresAtMs' in data) book.endsAtMs = data.accessTokenExpiresAtMs ?? 0;
          if (type === 'RefreshInterrupted') {
            const times = (book.interrupted.get(data.credentialVersion) ?? 0) + 1;
            book.interrupted.set(data.credentialVersion, times);
            expect(times).toBeLessThanOrEqual(2);
          }
          if (type !== 'RefreshStarted' || !book.interrupted.has(data.credentialVersion)) continue;
          expect(book.interrupted.get(data.credentialVersion)).toBe(1);
          expect(nowMs).toBeGreaterThanOrEqual(book.endsAtMs);
        }
      },
    );
  });

  test('nothing happens to a connection after its deletion but telling the provider and shredding the key', () => {
    const allowed = new Set(['UpstreamRevocationCompleted', 'UpstreamRevocationFailed', 'ConnectionKeyShredded']);
    always(
      () => ({ deleted: false }),
      (book, { events }) => {
        for (const type of typesOf(events)) {
          if (book.deleted) expect(allowed).toContain(type);
          if (type === 'DeletionRequested') book.deleted = true;
        }
      },
    );
  });

  test('the same deed twice is done once', () => {
    fc.assert(
      fc.property(lives, (steps) => {
        const repeated = live(steps.flatMap((step) => [step, { ...step, passedMs: 0 }]));
        const once = new Set(['release', 'failed', 'rejected', 'interrupt', 'revoke', 'suspend', 'resume', 'delete']);
        for (const [index, { events, step }] of repeated.moments.entries()) {
          if (index % 2 === 1 && once.has(step.act)) expect(events).toEqual([]);
        }
      }),
      runs,
    );
  });
});

describe('the fold', () => {
  test('a replay gives the carried state, byte for byte, from wherever it goes on', () => {
    fc.assert(
      fc.property(lives, fc.nat({ max: 60 }), (steps, cut) => {
        const { history, state } = live(steps);
        expect(text(fold(connectionEvolver, history))).toBe(text(state));
        const carried: unknown = JSON.parse(text(fold(connectionEvolver, history.slice(0, cut))));
        const resumed = fold(connectionEvolver, history.slice(cut), carried as typeof state);
        expect(text(resumed)).toBe(text(state));
      }),
      runs,
    );
  });

  test('events that were stored and read again fold to the same bytes', () => {
    fc.assert(
      fc.property(lives, (steps) => {
        const { history, state } = live(steps);
        const read = JSON.parse(text(history)) as typeof history;
        expect(text(fold(connectionEvolver, read))).toBe(text(state));
      }),
      runs,
    );
  });

  test('every decided event fits its schema, word for word', () => {
    fc.assert(
      fc.property(lives, (steps) => {
        for (const { event } of live(steps).history) {
          expect(connectionEvents[event.type].data.parse(event.data)).toEqual(event.data);
        }
      }),
      { numRuns: 100 },
    );
  });

  test('lives reach every type of event', () => {
    const seen = new Set<string>();
    const samples = fc.sample(lives, { numRuns: 1_000, seed: 7 });
    for (const steps of samples) for (const { event } of live(steps).history) seen.add(event.type);
    // What moves a connection between epochs: epoch.spec.ts.
    expect([...seen, 'EpochClosed', 'EpochOpened'].toSorted()).toEqual(Object.keys(connectionEvents).toSorted());
  });

  /** Events nobody would decide in that order. */
  const nonsense = fc.array(
    fc.oneof(
      fc.constantFrom(...Object.values(the).map((make) => (make as () => ConnectionEvent)())),
      fc
        .integer({ min: 1, max: 3 })
        .chain((n) =>
          fc.constantFrom(
            the.sessionStarted({ sessionId: ses(n) }),
            the.authorized({ credentialVersion: n, accessTokenExpiresAtMs: null }),
            the.claimed({ claimId: clm(n), credentialVersion: n }),
            the.refreshed({ claimId: clm(n), credentialVersion: n }),
            the.interrupted({ claimId: clm(n), credentialVersion: n }),
          ),
        ),
      fc.string().map((type) => ({ type, version: 1, data: {} }) as unknown as ConnectionEvent),
      fc
        .constantFrom('constructor', '__proto__', 'toString')
        .map((type) => ({ type, version: 1, data: {} }) as unknown as ConnectionEvent),
    ),
    { maxLength: 40, size: 'max' },
  );

  test('it takes any sequence of events, and its keys keep their order', () => {
    fc.assert(
      fc.property(nonsense, (events) => {
        const state = fold(
          connectionEvolver,
          events.map((event, index) => ({ event, meta: metaAt(startMs + index) })),
        );
        expect(Object.keys(state)).toEqual(Object.keys(noConnection));
        expect(() => freshnessOf(state, { nowMs: startMs })).not.toThrow();
        const deletedAt = events.findIndex(({ type }) => type === 'DeletionRequested');
        const begunAt = events.findIndex(
          ({ type }) => type === 'AuthorizationStarted' || type === 'EstablishmentStarted',
        );
        if (begunAt === -1 || deletedAt < begunAt) return;
        expect(codeOf(() => leaseDecision(state, { ...owner, nowMs: startMs }))).toMatch(
          /^connection\.(deleted|moved|not_found)$/,
        );
      }),
      runs,
    );
  });

  test('an unknown type leaves the very same state', () => {
    const state = fold(connectionEvolver, [{ event: the.sessionStarted(), meta: metaAt(startMs) }]);
    const unknown = { type: 'ConnectionBlessed', version: 1, data: {} } as unknown as ConnectionEvent;
    expect(connectionEvolver.evolve(state, unknown, metaAt(startMs))).toBe(state);
  });
});
