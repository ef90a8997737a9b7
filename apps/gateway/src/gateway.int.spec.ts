import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { limits, newId, operations, PosternError, type AdminEvent } from '@postern/contracts';
import { generateSealingKey, generateSigningKey } from '@postern/crypto';
import * as domain from '@postern/domain';
import { CommitReader, commitSigner, commitVerifier, Repository } from '@postern/event-log';
import {
  connectBus,
  createOperator,
  endpoint,
  identityCreds,
  JetStreamEventLog,
  provision,
  serveOperations,
  serverOperatorConfig,
  type Bus,
  type ServedOperations,
} from '@postern/nats';
import { startNatsServer, temporaryDataDir, type NatsServer } from '@postern/servers';
import { Clock, startService, type RunningService } from '@postern/service';
import { waitFor } from '@postern/testing';

import { gatewayService } from './gateway-module.ts';
import { PlatformToken } from './token/platform-token.ts';

/** The machine's clock, as far ahead as the spec says. */
class MovedClock extends Clock {
  aheadMs = 0;
  override nowMs(): number {
    return super.nowMs() + this.aheadMs;
  }
}

const folder = temporaryDataDir('postern-gateway-');
const secret = (name: string, text: string) => {
  writeFileSync(join(folder, name), text, { mode: 0o600 });
  return join(folder, name);
};
const clock = new MovedClock();
const tenantId = newId('tenant');
const sibling = newId('connection');
const freshness = {
  health: 'revoked',
  credential_expires_at: null,
  last_refreshed_at: null,
  last_used_ok_at: null,
  refresh_failing_since: null,
  next_attempt_at: null,
  stale: false,
  reason: null,
} as const;
let nats: NatsServer;
let administrator: Bus;
let revocation: Bus;
let ending: ServedOperations;
/** What `revocation` was asked to end, and what it answers. */
const asked: { connection_id: string; cascade?: boolean | undefined }[] = [];
let refusal: PosternError | undefined;
let gateway: RunningService;
let administer: <S, E extends AdminEvent>(
  evolver: domain.Evolver<S, E>,
  ...[id, decide]: [string, (state: S) => E[]]
) => Promise<void>;

beforeAll(async () => {
  const bundle = await createOperator();
  const config = { operatorMode: serverOperatorConfig(bundle), extra: 'authorization { timeout: 30 }' };
  nats = await startNatsServer({ dataDir: `${folder}/nats`, config });
  const busAs = async (identity: 'provisioner' | 'administrator' | 'revocation') =>
    await connectBus({ servers: nats.url, creds: await identityCreds(bundle, identity), identity, name: identity });
  const provisioner = await busAs('provisioner');
  await provision(provisioner);
  await provisioner.close();
  administrator = await busAs('administrator');
  revocation = await busAs('revocation');
  const ends = async (request: (typeof asked)[number]) => {
    asked.push(request);
    if (refusal !== undefined) throw refusal;
    const outcome = { connection_id: request.connection_id, position: 7, freshness };
    return { ...outcome, confirmed_by: ['vault-1'], confirmation_ms: 3, cascaded: request.cascade ? [sibling] : [] };
  };
  ending = await serveOperations(revocation, {
    name: 'revocation',
    version: '0.0.1',
    endpoints: [endpoint(operations.deleteConnection, ends), endpoint(operations.revokeConnection, ends)],
  });
  const [signing, sealing] = [generateSigningKey(), generateSealingKey()];
  const trust = { writers: { administrator: [signing.publicJwk] }, recipients: { gateway: sealing.publicJwk } };
  administer = async (evolver, id, decide) => {
    const repository = new Repository({
      log: new JetStreamEventLog({ bus: administrator, stream: 'admin' }),
      evolver,
      reader: new CommitReader({ verifier: commitVerifier(trust) }),
      signer: commitSigner('administrator', signing.privateJwk),
      upcast: domain.upcast,
      source: '/postern/spec',
    });
    const origin = { actor: { type: 'administrator' } as const, correlationId: newId('correlation') };
    await repository.execute({ tenantId, id }, decide, origin);
  };
  await administer(domain.tenantEvolver, tenantId, (state) => domain.createTenant({ name: 'T' }, state));
  const env = {
    POSTERN_NATS_URL: nats.url,
    POSTERN_NATS_CREDS_FILE: secret('creds', await identityCreds(bundle, 'gateway')),
    POSTERN_TRUST_FILE: secret('trust.json', JSON.stringify(trust)),
    POSTERN_SEALING_KEY_FILE: secret('sealing.json', JSON.stringify(sealing.privateJwk)),
    POSTERN_TOKEN_KEY_FILE: secret('token', 'a key of the gateway for its tokens, in specs only'),
    POSTERN_PUBLIC_URL: 'http://127.0.0.1:7420',
    POSTERN_LOG_LEVEL: 'silent',
  };
  gateway = await startService(gatewayService, env, { clock });
}, 120_000);

afterAll(async () => {
  await gateway?.stop();
  await ending?.stop();
  await Promise.all([administrator?.close(), revocation?.close()]);
  await nats?.stop();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => (clock.aheadMs = 0));

/** A platform that the gateway knows, and a token of it. */
async function platformWithToken() {
  const platformId = newId('platform');
  await administer(domain.platformEvolver, platformId, (state) =>
    domain.createPlatform({ name: 'P', returnUrls: [] }, state),
  );
  const token = await gateway.get(PlatformToken).issue({ tenantId, platformId });
  await waitFor(async () => (await callerOf(token)) === platformId, { describe: () => 'the platform to be known' });
  return { platformId, token };
}

/** Whose token it is, or why it is not taken. */
async function callerOf(token: string): Promise<string> {
  return await gateway
    .get(PlatformToken)
    .callerOf(`Bearer ${token}`)
    .then(
      ({ platformId }) => platformId,
      ({ code }: { code: string }) => code,
    );
}

describe('an access token that was verified before', () => {
  test('is good until its end, and not a second longer', async () => {
    const { platformId, token } = await platformWithToken();
    clock.aheadMs = (limits.platformTokenTtlS - 60) * 1_000;
    expect(await callerOf(token)).toBe(platformId);
    clock.aheadMs = limits.platformTokenTtlS * 1_000;
    expect(await callerOf(token)).toBe('auth.token_invalid');
    clock.aheadMs = 0;
    expect(await callerOf(token)).toBe(platformId);
  });

  test('is refused at once when its platform is disabled', async () => {
    const { platformId, token } = await platformWithToken();
    await administer(domain.platformEvolver, platformId, (state) => domain.disablePlatform({ reason: 'spec' }, state));
    await waitFor(async () => (await callerOf(token)) === 'auth.token_invalid', { describe: () => 'a refusal' });
  });

  test('lets nothing else pass: not another signature, not another platform’s claims, not a part of it', async () => {
    const [one, two] = [await platformWithToken(), await platformWithToken()];
    const [header = '', claims = '', signature = ''] = one.token.split('.');
    const [, otherClaims = '', otherSignature = ''] = two.token.split('.');
    for (const forged of [
      `${header}.${claims}.${otherSignature}`,
      `${header}.${otherClaims}.${signature}`,
      `${header}.${claims}.`,
      `${header}.${claims}`,
    ]) {
      expect([forged, await callerOf(forged)]).toEqual([forged, 'auth.token_invalid']);
    }
    expect(await callerOf(one.token)).toBe(one.platformId);
  });
});

describe('what the provider ends with a connection', () => {
  const connectionId = newId('connection');
  const asks = async (method: string, path: string, body?: object) => {
    const { token } = await platformWithToken();
    const response = await fetch(`${gateway.httpUrl}/v1/connections/${connectionId}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { status: response.status, answer: (await response.json()) as Record<string, unknown> };
  };

  beforeEach(() => {
    asked.length = 0;
    refusal = undefined;
  });

  test.each([
    ['DELETE', '', undefined, false],
    ['DELETE', '?cascade=false', undefined, false],
    ['DELETE', '?cascade=true', undefined, true],
    ['POST', '/revoke', { cascade: true }, true],
    ['POST', '/revoke', {}, undefined],
  ] as const)('ends with it as %s %s %o says', async (method, path, body, cascade) => {
    const { status, answer } = await asks(method, path, body);
    expect(status).toBe(200);
    expect(asked).toMatchObject([{ connection_id: connectionId }]);
    expect(asked[0]?.cascade).toBe(cascade);
    expect(answer['cascaded']).toEqual(cascade === true ? [sibling] : []);
  });

  test('is named before anything is decided', async () => {
    const details = { siblings: [sibling] };
    refusal = new PosternError('connection.siblings_would_end', 'One more would end with it.', { details });
    const { status, answer } = await asks('DELETE', '');
    expect(status).toBe(409);
    expect(answer).toMatchObject({ code: 'connection.siblings_would_end', siblings: [sibling] });
  });

  test.each(['?cascade=yes', '?cascade=', '?cascade=true&cascade=true', '?casacde=true'])(
    'is not decided by %s',
    async (path) => {
      const { status, answer } = await asks('DELETE', path);
      expect([status, answer['code']]).toEqual([400, 'request.malformed']);
      expect(asked).toEqual([]);
    },
  );
});
