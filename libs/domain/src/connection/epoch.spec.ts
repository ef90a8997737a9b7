import { CarriedConnection, connectionEvents, limits, mayWrite, type ConnectionEvent } from '@postern/contracts';
import * as fc from 'fast-check';

import { fold } from '../evolver.ts';
import {
  connected,
  connectionId,
  given,
  metaAt,
  owner,
  released,
  revoked,
  stateOf,
  the,
} from '../spec-support/connection.ts';
import { codeOf, startMs, tenantId } from '../spec-support/given.ts';
import { actNames, deed, live, lives, type Step } from '../spec-support/life.ts';
import { upcast } from '../upcast.ts';
import { moveToEpoch } from './epoch.ts';
import type { DataOf } from './events.ts';
import { connectionEvolver } from './evolve.ts';
import { labelOf } from './freshness.ts';
import { requireOwnedBy } from './guards.ts';
import { leaseDecision } from './lease-decision.ts';
import { refreshOutcomeFate, refreshOutcomeWelcome } from './refresh-outcome.ts';
import { upstreamRevocationOf } from './revoke.ts';
import { completionOf, denyAuthorization, type DenyAuthorization } from './session.ts';
import { noConnection, type Connection } from './state.ts';
import { viewOf } from './view.ts';

const text = (value: unknown) => JSON.stringify(value);
const hash = 'a'.repeat(64);
const epochs = { epoch: 1, nextEpoch: 2, revision: 7, hash };
const runs = { numRuns: 500 };
type EpochOpening = DataOf<'EpochOpened'>;

/** As the log would give it back. */
const stored = <E extends ConnectionEvent>(event: E): E => upcast(JSON.parse(text(event)) as E) as E;

function evolved(events: readonly ConnectionEvent[], from: Connection, nowMs = startMs): Connection {
  return fold(
    connectionEvolver,
    events.map((event) => ({ event: stored(event), meta: metaAt(nowMs) })),
    from,
  );
}

/** What stands between the two events of a move. */
function closedFrom(state: Connection): Connection {
  return evolved(moveToEpoch(epochs, state).slice(0, 1), state);
}

function openingOf(state: Connection): EpochOpening {
  const [, opening] = moveToEpoch(epochs, state);
  if (opening?.type !== 'EpochOpened') throw new Error('was not opened');
  return opening.data;
}

/** Moves a state to the next epoch, through the bytes of its commit. */
const moved = (state: Connection): Connection =>
  evolved(moveToEpoch(epochs, JSON.parse(text(state)) as Connection), state);

/** The same where nothing before the commit stands any more. */
const begunWith = (state: Connection): Connection => evolved(moveToEpoch(epochs, state), noConnection);

const opened = (data: Partial<EpochOpening> = {}): ConnectionEvent => ({
  type: 'EpochOpened',
  version: 1,
  data: { ...openingOf(stateOf(connected)), ...data },
});

describe('moving to another epoch', () => {
  test('says in one commit what closed, and carries revision, hash and state on', () => {
    for (const [history, authorization] of [
      [connected, 'authorized'],
      [revoked, 'revoked'],
    ] as const) {
      const state = stateOf(history) as CarriedConnection;
      const opening = { epoch: 2, previousEpoch: 1, previousRevision: 7, previousHash: hash, state };
      given(history)
        .when(moveToEpoch, epochs)
        .then([
          the.epochClosed({ epoch: 1, nextEpoch: 2, authorization }),
          { type: 'EpochOpened', version: 1, data: opening },
        ]);
    }
  });

  test('a connection of which nothing is known has nothing to carry', () => {
    given([]).when(moveToEpoch, epochs).thenRefused('connection.not_found');
  });

  test('the next epoch is a later one', () => {
    given(connected)
      .when(moveToEpoch, { ...epochs, epoch: 2 })
      .thenRefused('request.malformed');
    const backwards = the.epochClosed({ epoch: 2, nextEpoch: 1 });
    expect(codeOf(() => upcast(backwards))).toBe('log.message_damaged');
  });

  test('a closing that misstates what stood has no effect, so that no opening revives what was revoked', () => {
    const state = stateOf(revoked);
    expect(connectionEvolver.evolve(state, the.epochClosed({ authorization: 'authorized' }), metaAt(startMs))).toBe(
      state,
    );
  });

  test('a deleted connection moves too: the provider may still have to be told', () => {
    const state = stateOf([...connected, the.deletionRequested()]);
    expect(text(moved(state))).toBe(text(state));
    expect(upstreamRevocationOf(moved(state), { nowMs: startMs }).kind).toBe('due');
  });
});

describe('behind the closing', () => {
  const anyStep = (act: Step['act'], flag: boolean): Step => ({ act, n: 9, version: 1, passedMs: 0, flag });

  test.each(actNames)('%s is refused with the advice to read again', (act) => {
    fc.assert(
      fc.property(lives, fc.boolean(), (steps, flag) => {
        const { state } = live(steps);
        if (state.authorization === 'none') return;
        const closed = closedFrom(state);
        expect(codeOf(() => deed(anyStep(act, flag), closed, startMs))).toBe('connection.moved');
      }),
      { numRuns: 50 },
    );
  });

  test('every question is refused: no lease is granted, and no bought token thrown away', () => {
    const state = closedFrom(stateOf(released));
    const claimId = 'clm_01jd0000000000000000000001';
    const questions = [
      () => leaseDecision(state, { ...owner, nowMs: startMs }),
      () => refreshOutcomeFate(state, { claimId }),
      () => refreshOutcomeWelcome(state, { claimId }),
      () => upstreamRevocationOf(state, { nowMs: startMs }),
      () => requireOwnedBy(state, owner),
      () => completionOf(state, { sessionId: 'ses_01jd0000000000000000000001', endUserDigest: '', nowMs: startMs }),
      () => viewOf(state, { revision: 1, position: 1, reauthorizeUrl: null, nowMs: startMs }),
    ];
    for (const question of questions) expect(codeOf(question)).toBe('connection.moved');
  });

  test('not even a repeat is answered', () => {
    const state = closedFrom(stateOf([the.sessionStarted(), the.denied()]));
    const again = { ...the.denied().data, nowMs: startMs } as DenyAuthorization;
    expect(codeOf(() => denyAuthorization(again, state))).toBe('connection.moved');
  });

  test('no event changes the state any more but the opening of what was closed', () => {
    const state = closedFrom(stateOf(connected));
    for (const make of Object.values(the)) {
      const event = (make as () => ConnectionEvent)();
      expect(connectionEvolver.evolve(state, event, metaAt(startMs))).toBe(state);
    }
    const other = opened({ state: openingOf(stateOf(released)).state });
    expect(connectionEvolver.evolve(state, other, metaAt(startMs))).toBe(state);
    expect(text(connectionEvolver.evolve(state, opened(), metaAt(startMs)))).toBe(text(stateOf(connected)));
    expect(labelOf(state)).toBe('pending');
  });
});

describe('opening an epoch', () => {
  test('begins where nothing stands, and is nothing later', () => {
    const state = stateOf([the.sessionStarted()]);
    expect(connectionEvolver.evolve(state, opened(), metaAt(startMs))).toBe(state);
    const deleted = stateOf([...connected, the.deletionRequested()]);
    expect(connectionEvolver.evolve(deleted, opened(), metaAt(startMs))).toBe(deleted);
  });

  test('the state of another connection or tenant is not restored', () => {
    const event = opened();
    const other = { ...metaAt(startMs), aggregateId: 'con_01jd0000000000000000000002' };
    expect(connectionEvolver.evolve(noConnection, event, other)).toBe(noConnection);
    const elsewhere = { ...metaAt(startMs), tenantId: 'ten_01jd0000000000000000000009' };
    expect(connectionEvolver.evolve(noConnection, event, elsewhere)).toBe(noConnection);
    expect(connectionEvolver.evolve(noConnection, event, metaAt(startMs))).toMatchObject({ tenantId, connectionId });
  });

  const carried = openingOf(stateOf(released)).state;
  const { health: _health, ...withoutHealth } = carried;
  test.each<[string, unknown]>([
    ['a missing field', withoutHealth],
    ['a field too many', { ...carried, isAdmin: true }],
    ['a field too many within', { ...carried, claim: { ...carried.claim, by: 'me' } }],
    ['an authorization there is not', { ...carried, authorization: 'blessed' }],
    ['a state that was closed itself', { ...carried, authorization: 'moved' }],
    ['nothing', { ...noConnection }],
    ['an id with a wildcard', { ...carried, connectionId: 'con_*' }],
    ['a time that is none', { ...carried, createdAtMs: -1 }],
    ['no object', 'state'],
  ])('a carried state with %s is damage', (_what, state) => {
    expect(codeOf(() => stored(opened({ state: state as CarriedConnection })))).toBe('log.message_damaged');
  });

  test('keys in another order are brought into their own', () => {
    const turned = Object.fromEntries(Object.entries(carried).toReversed()) as CarriedConnection;
    const event = stored(opened({ state: turned }));
    expect(text(connectionEvolver.evolve(noConnection, event, metaAt(startMs)))).toBe(text(carried));
  });

  test('it rises with the version of the state, whose older shapes its upcasters lift', () => {
    expect(connectionEvents.EpochOpened.version).toBe(connectionEvolver.stateVersion);
    expect(Object.keys(CarriedConnection.shape)).toEqual(Object.keys(noConnection));
  });
});

describe('whatever life, cut wherever', () => {
  test('a life that moves goes on as the uncut one, byte for byte', () => {
    fc.assert(
      fc.property(lives, fc.nat({ max: 60 }), fc.nat({ max: 60 }), (steps, first, length) => {
        const { history, state } = live(steps);
        const cuts = [first, first + length];
        let here = noConnection;
        for (const [index, { event, meta }] of history.entries()) {
          if (cuts.includes(index) && here.authorization !== 'none') here = moved(here);
          here = connectionEvolver.evolve(here, event, meta);
        }
        expect(text(here)).toBe(text(state));
      }),
      runs,
    );
  });

  test('every state there can be fits the opening that carries it, word for word', () => {
    fc.assert(
      fc.property(lives, (steps) => {
        for (const { after } of live(steps).moments) {
          if (after.authorization === 'none') continue;
          expect(text(moved(after))).toBe(text(after));
          expect(text(begunWith(after))).toBe(text(after));
        }
      }),
      { numRuns: 100 },
    );
  });
});

test('the largest state there can be moves in one commit', () => {
  const scopes = Array.from({ length: limits.scopesMax }, (_, n) => String(n).padStart(limits.scopeCharsMax, 's'));
  const words = '\u0001'.repeat(limits.providerWordsCharsMax);
  const session = {
    requestedScopes: scopes,
    returnUrl: `https://${'u'.repeat(limits.returnUrlCharsMax - 8)}`,
    endUserDigest: 'd'.repeat(64),
  };
  const state = stateOf([
    the.sessionStarted(session),
    the.exchangeStarted(),
    the.authorized({ grantedScopes: scopes, accountDigest: 'd'.repeat(64) }),
    the.claimed(),
    the.failed({ error: words }),
    the.reauthorizationRequired({ evidence: words }),
    the.sessionStarted({ ...session, sessionId: 'ses_01jd0000000000000000000002' }),
  ]);
  const opening = moveToEpoch(epochs, state);
  const envelopeBytesMax = 8 * 1024;
  const bytes = Buffer.byteLength(text({ events: opening, state: moved(state) }));
  expect(bytes).toBeGreaterThan(100_000);
  expect(bytes + envelopeBytesMax).toBeLessThan(limits.commitBytesMax);
});

test('whoever writes a connection’s next event may move it, and nobody else', () => {
  for (const type of ['EpochClosed', 'EpochOpened']) {
    for (const writer of ['authorization', 'vault', 'refresh', 'revocation']) expect(mayWrite(writer, type)).toBe(true);
    for (const other of ['gateway', 'audit', 'administrator', 'provisioner', '']) {
      expect(mayWrite(other, type)).toBe(false);
    }
  }
});
