import { CarriedConnection, limits, type ConnectionEvent, type Delegation } from '@postern/contracts';

import {
  connected,
  endUserDigest,
  established,
  exchanging,
  given,
  owner,
  rejected,
  revoked,
  ses,
  stateOf,
  the,
  tokenEndsMs,
  whileItLives,
} from '../spec-support/connection.ts';
import { codeOf, refusalOf } from '../spec-support/given.ts';
import { delegationChain, loadDelegationChain, requireDelegation } from './delegation.ts';
import { startEstablishment, type StartEstablishment } from './establish.ts';
import { isUnattended } from './grants.ts';
import { leaseDecision } from './lease-decision.ts';
import { completeAuthorization } from './session.ts';
import type { Connection } from './state.ts';
import { viewOf } from './view.ts';

const con = (n: number) => `con_01jd${String(n).padStart(22, '0')}`;
const [person, service, first, second] = [con(11), con(12), con(13), con(14)];
const onBehalf = (subjectConnectionId: string, actorConnectionId: string | null = null): Delegation => ({
  subjectConnectionId,
  actorConnectionId,
});
const derivedFrom = (delegation: Delegation) => [
  the.exchangeEstablishment(delegation),
  the.authorized({ grant: 'token_exchange', hasRefreshToken: false, accountDigest: null, delegation }),
];
const derived = derivedFrom(onBehalf(person, service));
const command = (delegation: Delegation) =>
  ({
    ...the.exchangeEstablishment(delegation).data,
    sessionId: ses(2),
    nowMs: whileItLives,
  }) as StartEstablishment;

/** A house of connections, of which each may be in any state. */
function house(histories: Readonly<Record<string, readonly ConnectionEvent[]>>) {
  const states = new Map(Object.entries(histories).map(([id, events]) => [id, stateOf(events)]));
  return (id: string): Connection | undefined => states.get(id);
}

const living = { [person]: connected, [service]: established };

function lease(histories: Readonly<Record<string, readonly ConnectionEvent[]>>, state = stateOf(derived)) {
  const chain = delegationChain(state.credential?.delegation, house(histories));
  return leaseDecision(state, { ...owner, nowMs: whileItLives, chain });
}

describe('a derived connection', () => {
  test('keeps from its establishment on whom it is derived from, whatever its completion is told', () => {
    const delegation = onBehalf(person, service);
    const begun = given([]).when(startEstablishment, command(delegation)).thenState();
    expect(begun.session).toMatchObject({ grant: 'token_exchange', delegation });
    const told = {
      ...{ sessionId: ses(2), endUserDigest, credentialVersion: 1, grantedScopes: ['contacts.read'] },
      ...{ accessTokenExpiresAtMs: tokenEndsMs, hasRefreshToken: false, accountDigest: null },
      ...{ grant: 'token_exchange' as const, delegation: onBehalf(first), nowMs: whileItLives },
    };
    const [event] = completeAuthorization(told, begun);
    expect(event).toMatchObject({ type: 'ConnectionAuthorized', data: { delegation } });
    expect(CarriedConnection.parse(stateOf(derived))).toEqual(stateOf(derived));
  });

  test('may be had by the identity of its subject, and is worth no more than that', () => {
    const delegation = onBehalf(person);
    const begun = given([])
      .when(startEstablishment, { ...command(delegation), grant: 'identity_assertion' })
      .thenState();
    expect(begun.session).toMatchObject({ grant: 'identity_assertion', delegation });
    const asserted = stateOf([
      the.exchangeEstablishment(delegation),
      the.authorized({ grant: 'identity_assertion', hasRefreshToken: false, accountDigest: null, delegation }),
    ]);
    expect(lease(living, asserted)).toMatchObject({ kind: 'grant' });
    expect(codeOf(() => lease({ ...living, [person]: revoked }, asserted))).toBe('connection.delegation_ended');
    expect(isUnattended(asserted)).toBe(true);
  });

  test('is the same one again only for the same subject and actor', () => {
    const again = given(derived);
    again.when(startEstablishment, command(onBehalf(person, service))).thenNothing();
    again.when(startEstablishment, command(onBehalf(person))).thenRefused('connection.establish_key_used');
    again.when(startEstablishment, command(onBehalf(first, service))).thenRefused('connection.establish_key_used');
  });

  test.each([
    ['revoked', [...connected, the.revoked()], 'connection.revoked'],
    ['deleted', [...connected, the.deletionRequested()], 'connection.deleted'],
    ['suspended', [...connected, the.suspended()], 'connection.suspended'],
    ['in need of its user', rejected, 'connection.reauthorization_required'],
    ['not there yet', exchanging, 'connection.not_authorized'],
  ] as const)('is refused from the moment that its subject is %s, and says because of whom', (_name, history, code) => {
    expect(lease(living)).toMatchObject({ kind: 'grant' });
    const refusal = refusalOf(() => lease({ ...living, [person]: history }));
    expect([refusal.code, refusal.details.ended_by]).toEqual([
      'connection.delegation_ended',
      { connection_id: person, code },
    ]);
  });

  test('is refused with its actor as with its subject; its own end is said first', () => {
    const refusal = refusalOf(() => lease({ ...living, [service]: [...established, the.revoked()] }));
    expect(refusal.details.ended_by).toEqual({ connection_id: service, code: 'connection.revoked' });
    const suspended = stateOf([...derived, the.suspended()]);
    expect(codeOf(() => lease({ ...living, [person]: revoked }, suspended))).toBe('connection.suspended');
  });

  test('goes on by itself when its subject does', () => {
    expect(lease({ ...living, [person]: [...connected, the.suspended(), the.resumed()] })).toMatchObject({
      kind: 'grant',
    });
  });

  test('is not decided about without a look at what it leans on', () => {
    expect(() => leaseDecision(stateOf(derived), { ...owner, nowMs: whileItLives })).toThrow('nobody looked');
    expect(leaseDecision(stateOf(derived), { ...owner, nowMs: whileItLives, givesNothing: true }).kind).toBe('grant');
  });

  test('is shown as no better than what it is derived from', () => {
    const context = { revision: 2, position: 2, reauthorizeUrl: 'https://postern.example/c', nowMs: whileItLives };
    const view = (histories: typeof living) =>
      viewOf(stateOf(derived), {
        ...context,
        ...{ chain: delegationChain(onBehalf(person, service), house(histories)) },
      });
    expect(view(living)).toMatchObject({
      reauthorize_url: null,
      delegation: { subject_connection_id: person, actor_connection_id: service },
      freshness: { health: 'ok', reason: null },
    });
    const ended = { health: 'degraded', reason: 'connection.delegation_ended' };
    expect(view({ ...living, [person]: revoked as never }).freshness).toMatchObject(ended);
  });
});

describe('a chain of exchanges', () => {
  const chained = {
    ...living,
    [first]: derived,
    [second]: derivedFrom(onBehalf(first)),
  };

  test('tells who acts on whose behalf, the newest exchange first, and ends where any of them ends', () => {
    const chain = delegationChain(onBehalf(first), house(chained));
    expect(chain?.steps).toEqual([onBehalf(first), onBehalf(person, service)]);
    expect(chain?.parties.map(({ connectionId, role }) => [role, connectionId])).toEqual([
      ['subject', first],
      ['subject', person],
      ['actor', service],
    ]);
    const refusal = refusalOf(() => lease({ ...chained, [person]: revoked }, stateOf(derivedFrom(onBehalf(first)))));
    expect(refusal.details.ended_by).toEqual({ connection_id: person, code: 'connection.revoked' });
  });

  test('is followed as each connection says it today, not as it was', () => {
    const moved = { ...chained, [first]: derivedFrom(onBehalf(service)) };
    expect(delegationChain(onBehalf(first), house(moved))?.steps).toEqual([onBehalf(first), onBehalf(service)]);
  });

  test('is as long as it may be, and no longer', () => {
    const long = Object.fromEntries(
      Array.from({ length: limits.delegationStepsMax }, (_, n) => [con(20 + n), derivedFrom(onBehalf(con(21 + n)))]),
    );
    const at = (n: number) => delegationChain(onBehalf(con(20 + n)), house({ ...long, [last]: connected }));
    const last = con(20 + limits.delegationStepsMax);
    expect(at(1)?.steps).toHaveLength(limits.delegationStepsMax);
    const chain = at(0);
    expect([chain?.steps.length, chain?.isTooLong]).toEqual([limits.delegationStepsMax, true]);
    expect(codeOf(() => chain && requireDelegation(chain))).toBe('connection.delegation_refused');
  });

  test('ends, though it were a ring', () => {
    const ring = { [first]: derivedFrom(onBehalf(second)), [second]: derivedFrom(onBehalf(first)) };
    const state = stateOf(derivedFrom(onBehalf(first)));
    expect(codeOf(() => lease(ring, state))).toBe('connection.delegation_refused');
  });

  test('a state that is not at hand is no answer; fetched, it is', async () => {
    const { [person]: _gone, ...rest } = chained;
    expect(delegationChain(onBehalf(first), house(rest))).toBeUndefined();
    const asked: string[] = [];
    const chain = await loadDelegationChain(onBehalf(first), async (id) => {
      asked.push(id);
      return house(chained)(id) ?? stateOf([]);
    });
    expect([chain.steps.length, asked]).toEqual([2, [first, person, service]]);
    expect(await loadDelegationChain(undefined, async () => stateOf([]))).toEqual({ steps: [], parties: [] });
  });
});
