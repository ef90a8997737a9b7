import { newId, type AggregateKind, type IdentityName } from '@postern/contracts';
import { generateSigningKey } from '@postern/crypto';
import {
  administratorEvolver,
  connectionEvolver,
  createAdministrator,
  disableAdministrator,
  resumeConnection,
  startAuthorization,
  suspendConnection,
  upcast,
  type Connection,
} from '@postern/domain';
import {
  CommitReader,
  commitSigner,
  commitVerifier,
  MemoryEventLog,
  Repository,
  type AnyEvent,
} from '@postern/event-log';

import type { Printer } from '../output/printer.ts';
import { replay } from './replay.ts';
import { selectionOf } from './selection.ts';

const key = generateSigningKey();
const trust = (identity: IdentityName) => ({ writers: { [identity]: [key.publicJwk] }, recipients: {} });
const tenantId = newId('tenant');
const actor = { type: 'administrator' } as const;
const correlationId = newId('correlation');
const nowMs = Date.parse('2026-11-28T12:00:00Z');

function world(identity: IdentityName) {
  const log = new MemoryEventLog({ nowMs: () => nowMs + 86_400_000 });
  const reader = new CommitReader({ verifier: commitVerifier(trust(identity)) });
  const clock = { ms: nowMs };
  const signer = commitSigner(identity, key.privateJwk);
  const options = { log, reader, signer, source: '/spec', upcast, nowMs: () => clock.ms };
  return { log, reader, clock, options };
}

async function told(
  { log, reader }: Pick<ReturnType<typeof world>, 'log' | 'reader'>,
  id: string,
  options: Record<string, unknown> = {},
): Promise<Record<string, unknown>[]> {
  const lines: Record<string, unknown>[] = [];
  const printer = { line: (value: unknown) => void lines.push(value as Record<string, unknown>) } as unknown as Printer;
  const selection = selectionOf(tenantId, options, id);
  await replay({ log, reader, publicUrl: 'http://spec' }, { selection, explain: true }, printer);
  return lines;
}

const partsOf = (lines: readonly Record<string, unknown>[]) => {
  const { parts } = (lines.at(-1) as { explanation: { parts: { part: string; value: unknown; set_by: object }[] } })
    .explanation;
  return new Map(parts.map((one) => [one.part, one]));
};

test('an aggregate of ADMIN is told again, and which event made its state what it is', async () => {
  const house = world('administrator');
  const administrators = new Repository({ ...house.options, evolver: administratorEvolver });
  const ref = { tenantId, id: newId('administrator') };
  await administrators.execute(ref, (s) => createAdministrator({ label: 'first' }, s), { actor, correlationId });
  house.clock.ms += 1_000;
  await administrators.execute(ref, (s) => disableAdministrator({ reason: 'left' } as never, s), {
    actor,
    correlationId,
  });
  const lines = await told(house, ref.id);
  const parts = partsOf(lines);
  expect(parts.get('label')).toMatchObject({ value: 'first', set_by: { type: 'AdministratorCreated', revision: 1 } });
  expect([...parts.values()].map(({ set_by }) => set_by)).toContainEqual(
    expect.objectContaining({ type: 'AdministratorDisabled', revision: 2, position: 2, actor }),
  );
});

describe('a connection', () => {
  const house = world('revocation');
  const ref = { tenantId, id: newId('connection') };
  const sessionId = newId('session');

  beforeAll(async () => {
    const both = generateSigningKey();
    const writers = { authorization: [both.publicJwk], revocation: [key.publicJwk] };
    const reader = new CommitReader({ verifier: commitVerifier({ writers, recipients: {} }) });
    Object.assign(house, { reader });
    const options = { ...house.options, reader, evolver: connectionEvolver as never };
    const authorization = new Repository<Connection, AnyEvent>({
      ...options,
      signer: commitSigner('authorization', both.privateJwk),
    });
    const start = {
      sessionId,
      purpose: 'connect' as const,
      platformId: newId('platform'),
      providerId: 'acme',
      registrationId: newId('registration'),
      endUserDigest: 'digest',
      requestedScopes: ['read'],
      returnUrl: 'https://platform.example/back',
      expiresAtMs: nowMs + 600_000,
      nowMs,
    };
    await authorization.execute(ref, (state) => startAuthorization(start, state), { actor, correlationId });
    const revocation = new Repository<Connection, AnyEvent>(options);
    for (const decide of [
      (state: Connection) => suspendConnection({ reason: 'suspected' }, state),
      (state: Connection) => resumeConnection({ reason: 'cleared' }, state),
    ]) {
      house.clock.ms += 1_000;
      await revocation.execute(ref, decide, { actor, correlationId });
    }
  });

  test('is rebuilt as of a time by what its writers say, whenever the messages were stored', async () => {
    const at = new Date(nowMs + 1_500).toISOString();
    const lines = await told(house, ref.id, { at });
    expect(lines.filter(({ type }) => type)).toHaveLength(2);
    expect(partsOf(lines).get('suspended')).toMatchObject({ value: true, set_by: { type: 'ConnectionSuspended' } });
    expect(partsOf(await told(house, ref.id)).get('suspended')).toMatchObject({
      value: false,
      set_by: { type: 'ConnectionResumed', position: 3 },
    });
  });

  test('has its state from its beginning, whatever is told', async () => {
    const lines = await told(house, ref.id, { from: '3', to: '3' });
    expect(lines.filter(({ type }) => type).map(({ type }) => type)).toEqual(['ConnectionResumed']);
    expect(partsOf(lines).get('providerId')).toMatchObject({ set_by: { type: 'AuthorizationStarted' } });
    expect(partsOf(await told(house, ref.id, { to: '2' })).get('suspended')).toMatchObject({ value: true });
  });

  test('that does not stand in that part of the log is not found', async () => {
    const kind: AggregateKind = 'connection';
    await expect(told(house, newId(kind))).rejects.toMatchObject({ code: 'connection.not_found' });
    await expect(told(house, newId('agent'))).rejects.toMatchObject({ code: 'request.not_found' });
  });
});
