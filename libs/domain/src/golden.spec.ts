import { readdirSync, readFileSync } from 'node:fs';

import { eventDefinitions, StoredEvent, type AggregateKind } from '@postern/contracts';

import { connectionEvolver } from './connection/evolve.ts';
import { evolverOf } from './evolver-of.ts';
import { fold, type Evolver } from './evolver.ts';
import { admin } from './spec-support/admin.ts';
import { connectionId, exchanging, metaAt, polled, the } from './spec-support/connection.ts';
import { startMs } from './spec-support/given.ts';
import { upcast } from './upcast.ts';

/** Golden files are never edited: they are what old releases wrote. A new version of an event gets a new file. */
const folder = new URL('../golden/', import.meta.url);
const files = readdirSync(folder).toSorted();

const stored = (file: string): unknown => JSON.parse(readFileSync(new URL(file, folder), 'utf8'));

/** A history after which the event has something to change. */
const historyBefore: Record<string, ReturnType<typeof the.claimed>[]> = {
  AuthorizationStarted: [],
  EstablishmentStarted: [],
  CodeExchangeStarted: [the.sessionStarted()],
  DeviceAuthorizationStarted: [the.sessionStarted({ grant: 'device_code' })],
  DevicePollingStarted: polled,
  DeviceAuthorizationGranted: polled,
  AuthorizationDenied: [the.sessionStarted()],
  ConnectionAuthorized: exchanging,
  ConnectionReauthorized: [
    ...exchanging,
    the.authorized(),
    the.revoked(),
    the.sessionStarted({ purpose: 'reauthorize', sessionId: 'ses_01jd0000000000000000000002' }),
    the.exchangeStarted('ses_01jd0000000000000000000002'),
  ],
  RefreshStarted: [...exchanging, the.authorized()],
  RevocationDisproved: [...exchanging, the.authorized(), the.suspected()],
  InspectionStarted: [...exchanging, the.authorized()],
  ConnectionResumed: [...exchanging, the.authorized(), the.suspended()],
  UpstreamRevocationCompleted: [...exchanging, the.authorized(), the.revoked()],
  UpstreamRevocationFailed: [...exchanging, the.authorized(), the.revoked()],
  ConnectionKeyShredded: [...exchanging, the.deletionRequested()],
  EpochOpened: [],
};
const claimedBefore = [...exchanging, the.authorized(), the.claimed()];

/** Told to people and kept in the log; the state does not remember it. */
const withoutEffect: readonly string[] = ['RefreshTokenRotated', 'ScopeDriftDetected'];

const adminBefore: Record<Exclude<AggregateKind, 'connection'>, unknown> = {
  tenant: admin.tenantCreated(),
  platform: admin.platformCreated(),
  agent: admin.agentCreated(),
  administrator: admin.administratorCreated(),
  registration: admin.registrationCreated(),
  transmitter: admin.transmitterCreated(),
  bridge: admin.bridgeCreated(),
  webhook: admin.webhookCreated(),
  rollout: admin.rolloutCreated(),
  governance: admin.governanceCreated(),
  approval: admin.approvalCreated(),
};
const adminHistory: Record<string, unknown[]> = {
  AdministratorRemoved: [admin.governanceCreated(), admin.administratorAdded(1), admin.administratorAdded(2)],
  ApprovalGranted: [admin.approvalCreated(), admin.approvalRequested()],
  ApprovalDenied: [admin.approvalCreated(), admin.approvalRequested()],
  ProviderVersionRolledBack: [admin.rolloutCreated(), admin.canaryStarted()],
  RegistrationSecretRetired: [
    admin.registrationCreated(),
    admin.registrationSecretStored(),
    admin.registrationSecretStored({ secretVersion: 2 }),
  ],
};

function stateBefore(kind: AggregateKind, type: string): unknown {
  if (kind === 'connection') {
    const history = historyBefore[type] ?? claimedBefore;
    return fold(
      connectionEvolver,
      history.map((event) => ({ event, meta: metaAt(startMs) })),
    );
  }
  const evolver = evolverOf(kind);
  if (type.endsWith('Created')) return evolver.initialState;
  const history = (adminHistory[type] ?? [adminBefore[kind]]).map((event) => ({ event, meta: metaAt(startMs) }));
  return fold(evolver as Evolver<unknown, unknown>, history);
}

test('every event type has a golden file of each of its versions, and every golden file an event type', () => {
  const expected = [...eventDefinitions.values()].flatMap(({ type, version }) =>
    Array.from({ length: version }, (_, index) => `${type}.v${index + 1}.json`),
  );
  expect(files).toEqual(expected.toSorted());
});

describe.each(files)('%s', (file) => {
  const [type = '', version = ''] = file.split('.');
  const event = StoredEvent.parse(stored(file));

  test('is what it is named', () => {
    expect(`${event.type}.v${event.version}.json`).toBe(file);
    expect(`v${event.version}`).toBe(version);
  });

  test('is read as it was written', () => {
    expect(event).toEqual(stored(file));
    const definition = eventDefinitions.get(type);
    const lifted = upcast(event);
    expect(lifted.version).toBe(definition?.version);
    if (event.version === definition?.version) expect(lifted).toEqual(event);
  });

  test('is folded', () => {
    const kind = eventDefinitions.get(type)?.aggregate ?? 'connection';
    const evolver = evolverOf(kind);
    const before = stateBefore(kind, type);
    const after = evolver.evolve(before as never, upcast(event) as never, {
      ...metaAt(startMs),
      aggregateId: connectionId,
    });
    expect(JSON.stringify(after) === JSON.stringify(before)).toBe(withoutEffect.includes(type));
    expect(Object.keys(after)).toEqual(Object.keys(evolver.initialState));
  });
});
