import { createHmac } from 'node:crypto';
import { EventEmitter, once } from 'node:events';

import { jest } from '@jest/globals';
import { newId, PosternError, type Signal } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import {
  connectionEvolver,
  registrationEvolver,
  rolloutEvolver,
  type Connection,
  type Registration,
  type Rollout,
} from '@postern/domain';
import { loadCatalog, providerAt, providerOf, type Provider, type WebhookEvent } from '@postern/provider-catalog';
import { Clock, Logger, Metrics } from '@postern/service';

import { PollGrants } from '../inspections/poll-grants.ts';
import { ReportRejection } from '../rejections/report-rejection.ts';
import { Siblings } from '../siblings/siblings.ts';
import { ReadSignal } from '../signals/read-signal.ts';
import { WebhookIntake } from '../webhooks/webhook-intake.ts';
import { ProviderFiles } from './provider-files.ts';

const providerId = 'hubspot';
const [oldVersion, newVersion] = [1, providerOf(loadCatalog(), 'hubspot').version];
const [tenantId, platformId, registrationId] = [newId('tenant'), newId('platform'), newId('registration')];
const logger = new Logger({ app: 'revocation', level: 'info', destination: { write: () => undefined } } as never);

const registration: Registration = {
  ...registrationEvolver.initialState,
  ...{ exists: true, tenantId, registrationId, providerId },
};
const rollout = (some: Partial<Rollout>): Rollout => ({ ...rolloutEvolver.initialState, exists: true, ...some });
const canary = { providerId, version: oldVersion, sharePercent: 0, connectionIds: [], registrationIds: [] };
const forRegistration = rollout({ canary: { ...canary, registrationIds: [registrationId] } });

function connection(providerVersion?: number, accountKeys: Record<string, string> = {}): Connection {
  const credential = {
    ...{ version: 1, grantedScopes: [], accessTokenExpiresAtMs: null, hasRefreshToken: true, accountDigest: null },
    ...{ authorizedAtMs: 0, refreshedAtMs: null, boughtBy: newId('session'), accountKeys },
    ...(providerVersion === undefined ? {} : { providerVersion }),
  };
  return {
    ...connectionEvolver.initialState,
    ...{ tenantId, platformId, registrationId, providerId, connectionId: newId('connection') },
    ...{ authorization: 'authorized', credential },
  } as Connection;
}

const files = (decided?: Rollout) => new ProviderFiles({ rollout: () => decided } as never);

/** The catalog's two versions, but for what is said. */
function differing(older: Partial<Provider>, newer: Partial<Provider>): void {
  const catalog = loadCatalog();
  const [one, other] = [oldVersion, newVersion].map((version) => providerAt(catalog, providerId, version));
  const changed = [
    { ...one, ...older },
    { ...other, ...newer },
  ] as Provider[];
  jest.spyOn(catalog, 'version').mockImplementation((_id, version) => changed.find((file) => file.version === version));
  jest.spyOn(catalog, 'get').mockImplementation(() => changed[1]);
}

afterEach(() => {
  jest.restoreAllMocks();
});

describe('the version that counts', () => {
  test('is a connection’s own, and what was decided above it; the newest where it has none', () => {
    expect(files().of(connection(oldVersion))?.version).toBe(oldVersion);
    expect(files().of(connection())?.version).toBe(newVersion);
    expect(files(forRegistration).of(connection(newVersion))?.version).toBe(oldVersion);
    expect(files().of({ ...connection(oldVersion), providerId: 'of-another-release' })).toBeUndefined();
  });

  test('is for a registration what new connections get, or the canary that names it', () => {
    expect(files().ofRegistration(registration)?.version).toBe(newVersion);
    expect(files(forRegistration).ofRegistration(registration)?.version).toBe(oldVersion);
    const share = rollout({ canary: { ...canary, sharePercent: 100 } });
    expect(files(share).ofRegistration(registration)?.version).toBe(newVersion);
    const promoted = rollout({ current: { version: oldVersion, carriesConnections: false } });
    expect(files(promoted).ofRegistration(registration)?.version).toBe(oldVersion);
  });

  test('is the pin where the rollout cannot be read', () => {
    const unreadable = new ProviderFiles({
      rollout: () => {
        throw new PosternError('log.version_unknown', 'Of the future.');
      },
    } as never);
    expect(unreadable.of(connection(oldVersion))?.version).toBe(oldVersion);
  });
});

test('what a refusal means is said by the version of the connection that was refused', async () => {
  differing(
    { api: { tokenProbe: null, errors: [{ words: ['TOO_LITTLE'], means: 'scope_missing' }] } },
    { api: { tokenProbe: null, errors: [] } },
  );
  const outcomeFor = async (state: Connection) => {
    const loaded = { state, position: 1 };
    const reports = new ReportRejection(
      { publicUrl: 'https://postern.example' } as never,
      { load: async () => loaded, execute: async () => loaded } as never,
      { requireActive: async () => undefined } as never,
      files(),
      {} as never,
      new Clock(),
      logger,
      new Metrics(),
    );
    const request = { connection_id: state.connectionId, lease_id: newId('lease'), credential_version: 1 };
    const call = { caller: { tenantId, platformId } } as never;
    return (await reports.report({ ...request, status: 403, error: 'TOO_LITTLE' }, call)).outcome;
  };
  expect(await outcomeFor(connection(oldVersion))).toBe('scope_missing');
  expect(await outcomeFor(connection(newVersion))).toBe('no_verdict');
});

test('what ends with a connection is said by its version, whichever the others use', async () => {
  const ends = (keys: string[]) => ({
    revocation: { ...providerOf(loadCatalog(), providerId).revocation, ends: { keys } } as never,
  });
  differing(ends(['portal']), ends([]));
  const other = connection(newVersion, { portal: 'digest' });
  const livingOf = async (state: Connection) => {
    const index = {
      find: async function* () {
        yield [{ connectionId: other.connectionId }];
      },
    };
    const siblings = new Siblings(index as never, { load: async () => ({ state: other }) } as never, files());
    return (await siblings.livingOf(state)).map(({ connectionId }) => connectionId);
  };
  expect(await livingOf(connection(oldVersion, { portal: 'digest' }))).toEqual([other.connectionId]);
  expect(await livingOf(connection(newVersion, { portal: 'digest' }))).toEqual([]);
});

describe('a webhook', () => {
  const uninstalled: WebhookEvent = {
    ...{ type: 'uninstalled', when: { kind: 'uninstalled' }, headers: {}, means: 'grant_ended' },
    ...{ names: [], occurredAt: null },
  } as WebhookEvent;
  const webhook = (events: WebhookEvent[]) => ({
    webhook: {
      ...{ scheme: 'github_sha256' as const, sentAt: null, deliveryIdMember: null, handshake: null },
      ...{ secretMembers: [], events },
    },
  });
  const registrations = { find: async () => registration } as never;
  const secret = Buffer.from('the shared secret');

  test('is taken in by the version of the registration that it is addressed to', async () => {
    differing(webhook([uninstalled]), webhook([]));
    const body = Buffer.from(JSON.stringify({ kind: 'uninstalled' }));
    const storedBy = async (decided?: Rollout) => {
      const stored: Signal[] = [];
      const intake = new WebhookIntake(
        { publicUrl: 'https://postern.example' } as never,
        registrations,
        files(decided),
        { of: async () => [{ secret, version: 1 }] } as never,
        { store: async (signal: Signal) => (stored.push(signal), 'stored') } as never,
        new Clock(),
        logger,
        new Metrics(),
      );
      const signature = createHmac('sha256', secret).update(body).digest('hex');
      const headers = { 'x-hub-signature-256': `sha256=${signature}`, 'content-type': 'application/json' };
      const parameters = { provider: providerId, registration: registrationId };
      await intake.take({ method: 'POST', target: '/hooks', headers, body, parameters } as never);
      return stored.map(({ type }) => type);
    };
    expect(await storedBy()).toEqual([]);
    expect(await storedBy(forRegistration)).toEqual(['uninstalled']);
  });

  test('means what that version says', async () => {
    differing(webhook([uninstalled]), webhook([{ ...uninstalled, means: 'hint' }]));
    const meaning = async (decided?: Rollout) => {
      const config = { digestKey: Secret.from(Buffer.alloc(32)) };
      const reading = new ReadSignal(config as never, registrations, files(decided));
      const signal = { tenantId, registrationId, source: providerId, type: 'uninstalled', body: {} };
      const verified = { scheme: 'github_sha256', secretVersion: 1 };
      return (await reading.read({ ...signal, verified } as never))?.means;
    };
    expect(await meaning()).toBe('hint');
    expect(await meaning(forRegistration)).toBe('grant_ended');
  });
});

test('a connection by whose version nobody asks is passed over, and its registration goes on', async () => {
  const [pinned, asked] = [connection(oldVersion), connection(newVersion)];
  const states = new Map([pinned, asked].map((one) => [one.connectionId, one]));
  const due = [pinned, asked].map(({ connectionId }) => ({ connectionId, dueAtMs: 0, afterMs: 0 }));
  const heard: string[] = [];
  const done = new EventEmitter();
  const grants = {
    stateOf: async ({ connectionId }: { connectionId: string }) => states.get(connectionId),
    heardAtMs: async () => 0,
    about: async ({ connectionId }: { connectionId: string }) => {
      done.emit('asked', connectionId);
      return { kind: 'asked', outcome: 'alive' };
    },
  };
  const rows = {
    next: async () => due.shift(),
    heard: async (_tenantId: string, connectionId: string) => void heard.push(connectionId),
    takeTurn: async () => 'taken',
    keep: async () => undefined,
  };
  const endpoints = { introspectionEndpoint: 'https://provider.example/introspect' };
  const polling = new PollGrants(
    { all: () => [registration] } as never,
    { all: () => [] } as never,
    { all: () => [] } as never,
    { inquiring: async () => ({ discover: async () => ({ endpoints }) }) } as never,
    files(),
    rows as never,
    grants as never,
    new Clock(),
    logger,
    new Metrics(),
  );
  const first = once(done, 'asked');
  await polling.onServiceReady();
  try {
    expect(await first).toEqual([asked.connectionId]);
    expect(heard).toEqual([pinned.connectionId]);
  } finally {
    await polling.onApplicationShutdown();
  }
});
