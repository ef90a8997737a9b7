import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import {
  limits,
  newId,
  operations,
  PosternError,
  type RequestOf,
  type Signal,
  type WeighedSignal,
} from '@postern/contracts';
import { callOperation, createOperator, endpoint, serveOperations, serverOperatorConfig } from '@postern/nats';
import { migrateDatabase } from '@postern/persistence';
import {
  describeWithServer,
  startNatsServer,
  startPostgres,
  temporaryDataDir,
  type NatsServer,
  type Postgres,
} from '@postern/servers';
import { Metrics, startService, type RunningService } from '@postern/service';
import { startTransmitter, waitFor, type TestTransmitter } from '@postern/testing';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';

import { revocationGrants, revocationMigrations, revocationSchema, revocationService } from '../index.ts';
import { revocationLimits } from '../revocation-limits.ts';
import { SmallVault } from '../spec-support/small-vault.ts';
import { World, type ConnectionRef, type Party } from '../spec-support/world.ts';

const audience = 'our-client';
const risc = 'https://schemas.openid.net/secevent/risc/event-type';
const caep = 'https://schemas.openid.net/secevent/caep/event-type';
const oauth = 'https://schemas.openid.net/secevent/oauth/event-type';
const account = { issuer: 'https://idp.example', subject: 'user-7' };
const issSub = { format: 'iss_sub', iss: account.issuer, sub: account.subject };
const patienceMs = 30_000;
const nowS = () => Math.floor(Date.now() / 1000);

await describeWithServer('nats-server', 'security events', () => {
  const folder = temporaryDataDir('postern-security-events-');
  const lines: string[] = [];
  let server: NatsServer;
  let postgres: Postgres;
  let world: World;
  let vault: SmallVault;
  let service: RunningService;
  let transmitter: TestTransmitter;
  let party: Party;
  let registration: string;
  let stream: string;
  let refreshes = 0;

  beforeAll(async () => {
    const bundle = await createOperator();
    postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
    await postgres.createDatabase('events');
    const ownerUrl = postgres.urlOf('events');
    const login = { serviceRole: 'revocation_events', servicePassword: 'the-password-of-the-service' };
    const place = { ownerUrl, schema: revocationSchema, migrations: revocationMigrations, grants: revocationGrants };
    await migrateDatabase({ ...place, ...login });
    server = await startNatsServer({
      dataDir: join(folder, 'nats'),
      config: { operatorMode: serverOperatorConfig(bundle) },
    });
    world = await World.make(server.url, bundle, join(folder, 'files'));
    const access = { username: login.serviceRole, password: login.servicePassword };
    world.useDatabase(Object.assign(new URL(ownerUrl), access).href);
    vault = await new SmallVault(world, 'vault-1').start();
    await serveOperations(await world.bus('refresh'), {
      name: 'refresh',
      version: '0.0.1',
      endpoints: [
        endpoint(operations.refreshConnection, async () => {
          refreshes += 1;
          throw new PosternError('refresh.unavailable', 'Not now.');
        }),
      ],
    });
    transmitter = await startTransmitter();
    service = await startService(revocationService, world.env, {
      logDestination: { write: (line) => void lines.push(line) },
    });
  }, 180_000);
  beforeEach(async () => {
    party = await world.newPlatform();
    registration = await world.newRegistration(party, 'openid-connect');
    stream = await newStream();
    refreshes = 0;
    transmitter.jwksFault = undefined;
    world.agoMs = 60_000;
  });
  afterAll(async () => {
    await service?.stop();
    await transmitter?.close();
    await vault?.stop();
    await world?.close();
    await server?.stop();
    await postgres?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const newStream = async (more: Partial<Parameters<World['newTransmitter']>[2]> = {}, about = [registration]) =>
    await world.newTransmitter(party, about, {
      issuer: transmitter.issuer,
      audiences: [audience],
      jwksUri: transmitter.jwksUri,
      typeRequired: true,
      delivery: { method: 'push', bearerHash: null },
      ...more,
    });
  const push = async (token: string, { to = stream, headers = {} }: { to?: string; headers?: object } = {}) => {
    const all = { 'content-type': 'application/secevent+jwt', ...headers };
    const response = await fetch(`${service.httpUrl}/signals/ssf/${to}`, { method: 'POST', body: token, headers: all });
    const text = await response.text();
    return { status: response.status, ...(text === '' ? {} : (JSON.parse(text) as { err?: string; code?: string })) };
  };
  const purged = async (more: Partial<Parameters<TestTransmitter['sign']>[0]> = {}) =>
    await transmitter.sign({
      audience,
      events: { [`${risc}/account-purged`]: {} },
      ...more,
      claims: { sub_id: issSub, ...more.claims },
    });
  const stored = async (id = registration): Promise<Signal[]> => await world.signalsOf('ssf', id);
  const refused = (err: string) => ({ status: 400, err });
  const counted = (outcome: string) => service.get(Metrics).counter('postern.security_events').value({ outcome });
  const listed = async (tenantId = party.tenantId): Promise<WeighedSignal[]> => {
    const bus = await world.bus('administrator');
    return (await callOperation(bus, operations.listSignals, { app: 'administrator' }, { tenant_id: tenantId }))
      .signals;
  };
  const weighed = async (count = 1): Promise<WeighedSignal[]> =>
    await waitFor(async () => ((found) => found.length >= count && found)(await listed()), {
      describe: 'the signal to be weighed',
      timeoutMs: patienceMs,
    });
  const eventsOf = async (connection: ConnectionRef) =>
    (await world.historyOf(connection)).flatMap(({ commit }) => commit.events).slice(3);

  describe('a token of the transmitter', () => {
    test('is stored before it is answered, with who said it', async () => {
      expect(await push(await purged({ claims: { jti: 'event-1' } }))).toEqual({ status: 202 });
      expect(await stored()).toEqual([
        {
          version: 1,
          source: 'ssf',
          tenantId: party.tenantId,
          registrationId: registration,
          deliveryId: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/) as string,
          type: `${risc}/account-purged`,
          receivedAtMs: expect.any(Number) as number,
          verified: { transmitterId: stream, keyId: transmitter.signer.jwks.keys[0]?.kid },
          body: {
            iss: transmitter.issuer,
            aud: audience,
            iat: expect.any(Number) as number,
            jti: 'event-1',
            events: { [`${risc}/account-purged`]: {} },
            sub_id: issSub,
          },
        },
      ]);
    });

    test('that comes again is answered again, and stored once', async () => {
      const token = await purged();
      expect(await push(token)).toEqual({ status: 202 });
      const before = counted('repeated');
      expect(await push(token)).toEqual({ status: 202 });
      expect(
        await push(
          await purged({
            claims: { jti: JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).jti as string },
          }),
        ),
      ).toEqual({ status: 202 });
      expect(await stored()).toHaveLength(1);
      expect(counted('repeated')).toBe(before + 2);
    });

    test('about what ends no grant anywhere is answered and forgotten', async () => {
      const before = counted('ignored');
      expect(await push(await purged({ events: { 'https://example.com/event-type/renamed': {} } }))).toEqual({
        status: 202,
      });
      expect(await stored()).toEqual([]);
      expect(counted('ignored')).toBe(before + 1);
    });

    test.each(['https://schemas.openid.net/secevent/ssf/event-type/verification', `${risc}/verification`])(
      'that only verifies the stream, %s, is recorded, and tells the state that was asked with',
      async (type) => {
        const token = await transmitter.sign({ audience, events: { [type]: { state: 'asked-at-noon' } } });
        expect(await push(token)).toEqual({ status: 202 });
        expect(await weighed()).toMatchObject([{ type, outcome: 'recorded', matched: 0 }]);
        expect(lines.findLast((line) => line.includes('a security event was taken in'))).toContain('asked-at-noon');
      },
    );

    test('with several audiences is ours when one of them is', async () => {
      expect(await push(await purged({ audience: ['somebody', audience] }))).toEqual({ status: 202 });
    });

    test('keeps no token that stands in it, and of a fingerprint no more than one', async () => {
      const subject = { subject_type: 'oauth_token', token_type: 'refresh_token', token: '1//0abcdefghijklmnopqrst' };
      const events = (more: object) => ({ [`${oauth}/token-revoked`]: { subject: { ...subject, ...more } } });
      await push(await purged({ events: events({ token_identifier_alg: 'plain' }) }));
      await push(await purged({ events: events({ token_identifier_alg: 'prefix' }) }));
      const bodies = JSON.stringify((await stored()).map(({ body }) => body));
      expect(bodies).toContain('"1//0abcdefghijkl"');
      expect(bodies).not.toContain('1//0abcdefghijklm');
    });

    test('under a new key is believed as soon as the key is published, and the old one no longer', async () => {
      const old = await purged();
      expect(await push(await purged())).toEqual({ status: 202 });
      await transmitter.signer.rotate();
      await waitFor(async () => (await push(await purged())).status === 202, {
        describe: 'the new key to be fetched',
        timeoutMs: revocationLimits.transmitterKeysAgeMsMin + patienceMs,
      });
      // Those that came before the key may have used up what strangers are allowed.
      const answer = await waitFor(
        async () => {
          const said = await push(old);
          return said.status !== 429 && said;
        },
        { describe: 'another stranger to be listened to', timeoutMs: patienceMs },
      );
      expect(answer).toMatchObject(refused('authentication_failed'));
    });

    test('needs the bearer token where one was agreed', async () => {
      const bearerHash = createHash('sha256').update('the-bearer-token').digest('hex');
      const to = await newStream({ delivery: { method: 'push', bearerHash } });
      expect(await push(await purged(), { to })).toMatchObject(refused('authentication_failed'));
      const wrong = { authorization: 'Bearer another' };
      expect(await push(await purged(), { to, headers: wrong })).toMatchObject(refused('authentication_failed'));
      const right = { authorization: 'Bearer the-bearer-token' };
      expect(await push(await purged(), { to, headers: right })).toEqual({ status: 202 });
    });

    test('need not call itself one where that was agreed', async () => {
      const untyped = await purged({ header: { typ: undefined } });
      expect(await push(untyped)).toMatchObject(refused('invalid_request'));
      expect(await push(untyped, { to: await newStream({ typeRequired: false }) })).toEqual({ status: 202 });
    });
  });

  describe('what is not authentic', () => {
    const claims = async () => ({
      ...{ iss: transmitter.issuer, aud: audience, iat: nowS(), jti: newId('correlation') },
      ...{ events: { [`${risc}/account-purged`]: {} }, sub_id: issSub },
    });
    const forged = async (alg: string, header: object = {}) => {
      const { privateKey } = await generateKeyPair(alg);
      return await new SignJWT(await claims())
        .setProtectedHeader({ alg, typ: 'secevent+jwt', kid: transmitter.signer.jwks.keys[0]?.kid ?? '', ...header })
        .sign(privateKey);
    };
    const changed = async () => {
      const [header, , signature] = (await purged()).split('.');
      const payload = Buffer.from(JSON.stringify({ ...(await claims()), sub_id: { ...issSub, sub: 'root' } }));
      return `${header}.${payload.toString('base64url')}.${signature}`;
    };

    test.each([
      ['no signature at all', async () => new UnsecuredJWT(await claims()).encode()],
      [
        'a hash with our public key as the secret',
        async () =>
          await new SignJWT(await claims())
            .setProtectedHeader({ alg: 'HS256', typ: 'secevent+jwt', kid: transmitter.signer.jwks.keys[0]?.kid ?? '' })
            .sign(Buffer.from(JSON.stringify(transmitter.signer.jwks.keys[0]))),
      ],
      ['a key that is not theirs under the name of theirs', async () => await forged('ES256')],
      ['another algorithm under the name of their key', async () => await forged('RS256')],
      [
        'a key that the token brings itself',
        async () => {
          const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true });
          return await new SignJWT(await claims())
            .setProtectedHeader({
              alg: 'ES256',
              typ: 'secevent+jwt',
              jwk: await exportJWK(publicKey),
              jku: 'https://evil.example/jwks',
            })
            .sign(privateKey);
        },
      ],
      ['another payload', changed],
    ])('%s', async (_title, make) => {
      const before = counted('authentication_failed');
      expect(await push(await make())).toMatchObject(refused('authentication_failed'));
      expect(await stored()).toEqual([]);
      expect(counted('authentication_failed')).toBe(before + 1);
    });

    test('looks the same for a stream that is not there, one that is disabled, and whatever else is wrong', async () => {
      const disabled = await newStream();
      const event = { type: 'TransmitterDisabled', version: 1, data: { reason: null } } as const;
      await world.configured(event, { tenantId: party.tenantId, id: disabled });
      const wrong = await forged('ES256', { typ: 'jwt' });
      const answers = [
        await push(wrong),
        await push(await purged(), { to: newId('transmitter') }),
        await push(wrong, { to: 'x' }),
      ];
      await waitFor(async () => (await push(await purged(), { to: disabled })).status === 400, {
        describe: 'the stream to be disabled',
        timeoutMs: patienceMs,
      });
      answers.push(await push(await purged(), { to: disabled }));
      expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    });

    test('in a flood is only counted, while what is authentic goes on being taken, and keys are not fetched for it', async () => {
      const { privateKey } = await generateKeyPair('ES256');
      const wrong = await new SignJWT(await claims())
        .setProtectedHeader({ alg: 'ES256', typ: 'secevent+jwt', kid: 'a-guess' })
        .sign(privateKey);
      const before = transmitter.jwksCalls();
      const answers = await Promise.all(Array.from({ length: 60 }, async () => await push(wrong)));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([400, 429]));
      expect(await push(await purged())).toEqual({ status: 202 });
      expect(transmitter.jwksCalls() - before).toBeLessThanOrEqual(2);
    });
  });

  describe('what is authentic and still not for us', () => {
    test.each([
      ['another issuer', 'invalid_issuer', { iss: 'https://other.example' }],
      ['our issuer with a slash more', 'invalid_issuer', { iss: 'slash' }],
      ['another audience', 'invalid_audience', { aud: 'somebody' }],
      ['no audience', 'invalid_audience', { aud: undefined }],
      ['no jti', 'invalid_request', { jti: undefined }],
      ['no iat', 'invalid_request', { iat: undefined }],
      ['no events', 'invalid_request', { events: {} }],
      ['events that are none', 'invalid_request', { events: 'all' }],
      [
        'more events than one means',
        'invalid_request',
        { events: Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`https://e.example/${n}`, {}])) },
      ],
    ])('%s is %s', async (_title, err, claims: Record<string, unknown>) => {
      const more = claims['iss'] === 'slash' ? { iss: `${transmitter.issuer}/` } : claims;
      expect(await push(await purged({ claims: more }))).toMatchObject(refused(err));
      expect(await stored()).toEqual([]);
    });

    test('a token of another kind', async () => {
      expect(await push(await purged({ header: { typ: 'at+jwt' } }))).toMatchObject(refused('invalid_request'));
      const to = await newStream({ typeRequired: false });
      expect(await push(await purged({ header: { typ: 'at+jwt' } }), { to })).toMatchObject(refused('invalid_request'));
    });

    test('claims that are a bomb', async () => {
      const deep = JSON.parse(`${'['.repeat(500)}${']'.repeat(500)}`) as unknown;
      expect(await push(await purged({ claims: { deep } }))).toMatchObject(refused('invalid_request'));
    });
  });

  describe('the body', () => {
    test.each([
      ['of another type', { 'content-type': 'application/json' }],
      ['of any type', { 'content-type': 'application/octet-stream' }],
    ])('%s is no request', async (_title, headers) => {
      expect(await push(await purged(), { headers })).toMatchObject(refused('invalid_request'));
    });

    test.each([
      ['nothing', ''],
      ['JSON', '{}'],
      ['two parts', 'a.b'],
      ['five parts', 'a.b.c.d.e'],
      ['a bomb', '['.repeat(60_000)],
    ])('that is %s is no token', async (_title, body) => {
      expect(await push(body)).toMatchObject(refused('invalid_request'));
    });

    test('that is too large is not read', async () => {
      const before = counted('too_large');
      expect(await push('x'.repeat(limits.securityEventBytesMax + 1))).toMatchObject({ status: 413 });
      expect(counted('too_large')).toBe(before + 1);
    });

    test('that drips is not waited for', async () => {
      const { port, hostname } = new URL(service.httpUrl);
      const socket = connect(Number(port), hostname);
      socket.write(
        `POST /signals/ssf/${stream} HTTP/1.1\r\nhost: x\r\ncontent-type: application/secevent+jwt\r\ncontent-length: 100\r\n\r\nx`,
      );
      const [answer] = (await socket.take(1).toArray()) as Buffer[];
      socket.destroy();
      expect(String(answer)).toContain('408 Request Timeout');
    });
  });

  describe('keys that cannot be had', () => {
    test.each([
      ['are an error', () => ({ status: 500, body: '' })],
      ['are somewhere else', () => ({ status: 302, body: '', headers: { location: `${transmitter.issuer}/other` } })],
      ['are no keys', () => ({ status: 200, body: '{}' })],
      ['are no JSON', () => ({ status: 200, body: '<html>' })],
      ['are without end', () => ({ status: 200, body: 'x'.repeat(300 * 1024) })],
    ])('because they %s make the transmitter come again', async (_title, fault) => {
      transmitter.jwksFault = fault;
      const to = await newStream();
      const before = transmitter.jwksCalls();
      expect(await push(await purged(), { to })).toMatchObject({ status: 503, code: 'signal.keys_unavailable' });
      expect(await push(await purged(), { to })).toMatchObject({ status: 503, code: 'signal.keys_unavailable' });
      expect(transmitter.jwksCalls()).toBe(before + 1);
    });

    test('because nobody is there make the transmitter come again', async () => {
      const to = await newStream({ jwksUri: 'http://127.0.0.1:1/jwks' });
      expect(await push(await purged(), { to })).toMatchObject({ status: 503, code: 'signal.keys_unavailable' });
    });
  });

  describe('an event about an account', () => {
    const connected = async (more: Parameters<World['connected']>[2] = { account }, id = registration, of = party) =>
      await world.connected(of, id, more);

    test('that was purged is proof: the connection ends, and the log names the evidence', async () => {
      const connection = await connected();
      expect(await push(await purged())).toEqual({ status: 202 });
      const [signal] = await weighed();
      expect(signal).toMatchObject({ source: 'ssf', outcome: 'revoked', matched: 1, revoked: 1 });
      expect(await eventsOf(connection)).toMatchObject([
        {
          type: 'ConnectionRevoked',
          data: {
            cause: 'revoked_at_provider',
            evidence: {
              source: 'ssf',
              type: `${risc}/account-purged`,
              transmitterId: stream,
              matchedBy: 'iss_sub',
              occurredAtMs: expect.any(Number) as number,
            },
          },
        },
      ]);
      expect(await world.stateOf(connection)).toMatchObject({ authorization: 'revoked' });
    });

    test.each([
      ['tokens-revoked of Google', `${oauth}/tokens-revoked`, 'revoked'],
      ['account-credential-change-required', `${risc}/account-credential-change-required`, 'suspected'],
      ['sessions-revoked', `${risc}/sessions-revoked`, 'suspected'],
      ['session-revoked', `${caep}/session-revoked`, 'suspected'],
      ['credential-change', `${caep}/credential-change`, 'suspected'],
      ['account-disabled', `${risc}/account-disabled`, 'recorded'],
      ['account-enabled', `${risc}/account-enabled`, 'recorded'],
      ['token-claims-change', `${caep}/token-claims-change`, 'recorded'],
      ['assurance-level-change', `${caep}/assurance-level-change`, 'recorded'],
    ])('%s', async (_title, type, outcome) => {
      const connection = await connected();
      expect(await push(await purged({ events: { [type]: {} } }))).toEqual({ status: 202 });
      expect(await weighed()).toMatchObject([{ type, outcome, matched: 1 }]);
      const types = { revoked: ['ConnectionRevoked'], suspected: ['RevocationSuspected'], recorded: [] };
      expect((await eventsOf(connection)).map(({ type: of }) => of)).toEqual(types[outcome as keyof typeof types]);
      expect(refreshes).toBe(outcome === 'suspected' ? 1 : 0);
    });

    test('whose time is before the authorization ends nothing, whenever the token was issued', async () => {
      const connection = await connected();
      const [before, type] = [nowS() - 7_200, `${caep}/session-revoked`];
      await push(await purged({ claims: { toe: before } }));
      await push(await purged({ claims: { iat: before } }));
      await push(await purged({ events: { [type]: { event_timestamp: before } } }));
      await push(await purged({ events: { [type]: { event_timestamp: before * 1000 } } }));
      expect((await weighed(4)).map(({ outcome }) => outcome)).toEqual(Array(4).fill('outdated'));
      expect(await eventsOf(connection)).toEqual([]);
    });

    test('reaches the connections of the registrations for which its transmitter speaks, and no others', async () => {
      const other = await world.newRegistration(party, 'openid-connect');
      const strangers = await world.newPlatform();
      const theirs = await world.newRegistration(strangers, 'openid-connect');
      const ended = await connected();
      const spared = [await connected({ account }, other), await connected({ account }, theirs, strangers)];
      expect(await push(await purged())).toEqual({ status: 202 });
      expect(await weighed()).toMatchObject([{ matched: 1, revoked: 1 }]);
      expect(await world.stateOf(ended)).toMatchObject({ authorization: 'revoked' });
      for (const one of spared) expect(await world.stateOf(one)).toMatchObject({ authorization: 'authorized' });
    });

    test('reaches several registrations, also of tenants that do not know of each other', async () => {
      const strangers = await world.newPlatform();
      const theirs = await world.newRegistration(strangers, 'openid-connect');
      const scope = [party, strangers].map(({ tenantId }, index) => ({
        tenantId,
        registrationId: index === 0 ? registration : theirs,
      }));
      const changed = { type: 'TransmitterScopeChanged', version: 1, data: { speaksFor: scope } } as const;
      await world.configured(changed, { tenantId: party.tenantId, id: stream });
      const both = [await connected(), await connected({ account }, theirs, strangers)];
      await waitFor(
        async () => {
          await push(await purged());
          return (await stored(theirs)).length > 0;
        },
        { describe: 'the wider scope', timeoutMs: patienceMs },
      );
      for (const one of both) {
        await waitFor(async () => (await world.stateOf(one)).authorization === 'revoked', {
          describe: 'both to be refused',
          timeoutMs: patienceMs,
        });
      }
    });

    test('a registration of another tenant than was said is spoken for by nobody', async () => {
      const strangers = await world.newPlatform();
      const theirs = await world.newRegistration(strangers, 'openid-connect');
      const to = await newStream({}, [theirs]);
      expect(await push(await purged(), { to })).toEqual({ status: 202 });
      expect(await stored(theirs)).toEqual([]);
      expect(lines.join('')).toContain('a transmitter speaks for no registration');
    });

    describe('finds it', () => {
      const token = '1//0refresh-token-of-google';
      const hash = createHash('sha512').update(createHash('sha512').update(token).digest()).digest('base64');
      const accounts = [
        { key: 'email', values: ['ada@example.com'] },
        { key: 'phone_number', values: ['+12065550100'] },
        { key: 'subject', values: ['did:example:123'] },
        { key: 'refresh_token_prefix', values: [token.slice(0, 16)] },
        { key: 'refresh_token_hash', values: [hash] },
      ];
      const oauthToken = { subject_type: 'oauth_token', token_type: 'refresh_token' };
      test.each([
        ['by e-mail, however it is spelled', { format: 'email', email: 'Ada@Example.com' }, 'email'],
        ['by telephone number', { format: 'phone_number', phone_number: '+12065550100' }, 'phone_number'],
        ['by an opaque id', { format: 'opaque', id: 'did:example:123' }, 'subject'],
        ['by DID', { format: 'did', url: 'did:example:123' }, 'subject'],
        ['by URI', { format: 'uri', uri: 'did:example:123' }, 'subject'],
        ['by account URI', { format: 'account', uri: 'did:example:123' }, 'subject'],
        [
          'by aliases',
          {
            format: 'aliases',
            identifiers: [
              { format: 'opaque', id: 'x' },
              { format: 'email', email: 'ada@example.com' },
            ],
          },
          'email',
        ],
        [
          'by the claims of an ID token',
          { subject_type: 'id_token_claims', iss: 'x', sub: 'y', email: 'ada@example.com' },
          'email',
        ],
        [
          'by the user of a complex subject',
          {
            format: 'complex',
            user: { format: 'email', email: 'ada@example.com' },
            tenant: { format: 'opaque', id: 'T' },
          },
          'email',
        ],
        [
          'by issuer and subject as drafts write it, with a slash more',
          { subject_type: 'iss-sub', iss: `${account.issuer}/`, sub: account.subject },
          'iss_sub',
        ],
        [
          'by the first characters of the refresh token',
          { ...oauthToken, token_identifier_alg: 'prefix', token: token.slice(0, 16) },
          'refresh_token_prefix',
        ],
        [
          'by the hash of the refresh token',
          { ...oauthToken, token_identifier_alg: 'hash_base64_sha512_sha512', token: hash },
          'refresh_token_hash',
        ],
      ])('%s', async (_title, subject, matchedBy) => {
        const connection = await connected({ account, accounts });
        const events = { [`${oauth}/token-revoked`]: { subject } };
        expect(await push(await transmitter.sign({ audience, events }))).toEqual({ status: 202 });
        expect(await weighed()).toMatchObject([{ outcome: 'revoked' }]);
        expect(await eventsOf(connection)).toMatchObject([{ data: { evidence: { matchedBy } } }]);
      });

      test('not, where it names a session or a device alone', async () => {
        await connected({ account, accounts });
        const sub_id = { format: 'complex', session: { format: 'opaque', id: 'did:example:123' } };
        await push(await purged({ claims: { sub_id } }));
        expect(await weighed()).toMatchObject([{ outcome: 'unmatched', matched: 0 }]);
      });
    });

    test('and one device of it is a hint, whatever is said', async () => {
      const connection = await connected();
      const sub_id = { format: 'complex', user: issSub, device: { format: 'opaque', id: 'phone' } };
      await push(await purged({ claims: { sub_id } }));
      expect(await weighed()).toMatchObject([{ outcome: 'suspected' }]);
      expect(await world.stateOf(connection)).toMatchObject({ authorization: 'authorized' });
    });
  });

  describe('polling', () => {
    const queued = async (jti: string, more: Parameters<typeof purged>[0] = {}) => {
      const token = await purged({ ...more, claims: { jti, ...more?.claims } });
      transmitter.waiting.set(jti, token);
      return token;
    };
    const polledStream = async (bearerOf: Party | null = null) =>
      await newStream({
        delivery: {
          method: 'poll',
          endpoint: transmitter.pollUri,
          bearerOf: bearerOf === null ? null : { tenantId: bearerOf.tenantId, registrationId: registration },
        },
      });
    const emptied = async () =>
      await waitFor(() => transmitter.waiting.size === 0, {
        describe: 'the transmitter to have nothing left',
        timeoutMs: patienceMs,
      });
    const answersTo = (jti: string) =>
      transmitter.polls.flatMap(({ ack = [], setErrs = {} }) => [
        ...(ack.includes(jti) ? ['ack'] : []),
        ...(setErrs[jti] === undefined ? [] : [setErrs[jti].err]),
      ]);
    let polled: string | undefined;

    beforeEach(() => {
      transmitter.waiting.clear();
      transmitter.polls.length = 0;
    });
    afterEach(async () => {
      transmitter.pollFault = undefined;
      transmitter.bearer = undefined;
      if (polled === undefined) return;
      const event = { type: 'TransmitterDisabled', version: 1, data: { reason: null } } as const;
      await world.configured(event, { tenantId: party.tenantId, id: polled });
      polled = undefined;
    });

    test('takes what waits, stores it, and only then acknowledges it; the connection ends', async () => {
      const connection = await world.connected(party, registration, { account });
      await queued('polled-1');
      polled = await polledStream();
      await emptied();
      expect(answersTo('polled-1')).toEqual(['ack']);
      expect(await stored()).toMatchObject([{ verified: { transmitterId: polled } }]);
      expect(await weighed()).toMatchObject([{ outcome: 'revoked' }]);
      expect(await world.stateOf(connection)).toMatchObject({ authorization: 'revoked' });
    });

    test('refuses what is not authentic or not for us, each by name, and takes the others', async () => {
      const { privateKey } = await generateKeyPair('ES256');
      const kid = transmitter.signer.jwks.keys[0]?.kid ?? '';
      const forged = new SignJWT({ iss: transmitter.issuer }).setProtectedHeader({ alg: 'ES256', kid });
      transmitter.waiting.set('forged', await forged.sign(privateKey));
      transmitter.waiting.set('no token', 'no token');
      transmitter.waiting.set('renamed', await purged({ claims: { jti: 'another' } }));
      await queued('astray', { audience: 'somebody' });
      await queued('right');
      polled = await polledStream();
      await emptied();
      expect(['forged', 'no token', 'renamed', 'astray', 'right'].map(answersTo)).toEqual([
        ['authentication_failed'],
        ['invalid_request'],
        ['invalid_request'],
        ['invalid_audience'],
        ['ack'],
      ]);
      expect(await stored()).toHaveLength(1);
    });

    test('does not acknowledge what could not be verified yet, and takes it when it comes again', async () => {
      let isDown = true;
      transmitter.jwksFault = () =>
        isDown ? { status: 500, body: '' } : { status: 200, body: JSON.stringify(transmitter.signer.jwks) };
      await queued('patient');
      polled = await polledStream();
      await waitFor(() => transmitter.polls.length >= 2, { describe: 'another poll', timeoutMs: patienceMs });
      expect(answersTo('patient')).toEqual([]);
      isDown = false;
      await emptied();
      expect(answersTo('patient')).toEqual(['ack']);
    });

    test.each([
      ['an error', { status: 500, body: '' }],
      ['something else', { status: 200, body: '<html>' }],
      ['sets that are none', { status: 200, body: '{"sets":[]}' }],
      ['a redirect', { status: 302, body: '', headers: { location: 'https://evil.example/' } }],
    ])('goes on after %s', async (_title, fault) => {
      transmitter.pollFault = () => (transmitter.polls.length < 2 ? fault : undefined);
      await queued('after');
      polled = await polledStream();
      await emptied();
      expect(answersTo('after')).toEqual(['ack']);
    });

    test('asks for fewer when an answer is too large', async () => {
      transmitter.pollFault = () =>
        (transmitter.polls.at(-1)?.maxEvents ?? 0) > 4 ? { status: 200, body: 'x'.repeat(300_000) } : undefined;
      for (let n = 0; n < 9; n += 1) await queued(`many-${n}`);
      polled = await polledStream();
      await emptied();
      expect(await stored()).toHaveLength(9);
    });

    test('sends the bearer token that the registration keeps, the older one too while both are in use', async () => {
      vault.webhookSecrets.set(registration, ['the older one', 'not known there yet']);
      transmitter.bearer = 'the older one';
      await queued('let-in');
      polled = await polledStream(party);
      await emptied();
      expect(answersTo('let-in')).toEqual(['ack']);
    });

    describe('of one that keeps its answer back until it has something', () => {
      const isHeld = async () =>
        await waitFor(() => transmitter.held() === 1, { describe: 'a poll that is held', timeoutMs: patienceMs });
      beforeEach(() => void (transmitter.holdsPolls = true));
      afterEach(() => void (transmitter.holdsPolls = false));

      test('takes what comes without asking again, and asks at once what else there is', async () => {
        polled = await polledStream();
        await isHeld();
        const before = transmitter.polls.length;
        await queued('held');
        await emptied();
        await isHeld();
        const { returnImmediately, ack } = transmitter.polls[before] ?? {};
        expect({ returnImmediately, ack }).toEqual({ returnImmediately: true, ack: ['held'] });
        expect(transmitter.polls).toHaveLength(before + 2);
      });

      test('hangs up when the transmitter is disabled', async () => {
        const disabled = await polledStream();
        await isHeld();
        const event = { type: 'TransmitterDisabled', version: 1, data: { reason: null } } as const;
        await world.configured(event, { tenantId: party.tenantId, id: disabled });
        await waitFor(() => transmitter.held() === 0, { describe: 'nobody to be held', timeoutMs: patienceMs });
      });

      test('does not let one wait that hung up, and goes on asking', async () => {
        transmitter.pollFault = () => (transmitter.polls.length === 1 ? { status: 504, body: '' } : undefined);
        await queued('meanwhile');
        polled = await polledStream();
        await emptied();
        await waitFor(() => transmitter.polls.length > 3, { describe: 'another poll', timeoutMs: patienceMs });
        const [first, ...later] = transmitter.polls.map(({ returnImmediately }) => returnImmediately);
        expect(first).toBe(false);
        expect(new Set(later)).toEqual(new Set([true]));
      });
    });

    test('ends with the transmitter', async () => {
      polled = await polledStream();
      await waitFor(() => transmitter.polls.length > 0, { describe: 'the first poll', timeoutMs: patienceMs });
      const event = { type: 'TransmitterDisabled', version: 1, data: { reason: null } } as const;
      await world.configured(event, { tenantId: party.tenantId, id: polled });
      await queued('too-late');
      const before = transmitter.polls.length;
      const other = await startTransmitter();
      try {
        // Another one that is polled for as long as the first would have been.
        const id = await newStream({
          issuer: other.issuer,
          delivery: { method: 'poll', endpoint: other.pollUri, bearerOf: null },
        });
        await waitFor(() => other.polls.length > 1, { describe: 'two polls', timeoutMs: patienceMs });
        await world.configured(event, { tenantId: party.tenantId, id });
      } finally {
        await other.close();
      }
      expect(transmitter.polls.length - before).toBeLessThanOrEqual(1);
      expect(transmitter.waiting.has('too-late')).toBe(true);
    });

    test('is not for a stream that is pushed, nor pushing for one that is polled', async () => {
      polled = await polledStream();
      expect(await push(await purged(), { to: polled })).toMatchObject(refused('authentication_failed'));
    });
  });

  describe('a verification that was asked for', () => {
    const verification = 'https://schemas.openid.net/secevent/ssf/event-type/verification';
    const asks = async (more: Partial<RequestOf<typeof operations.verifyTransmitter>> = {}) => {
      const bus = await world.bus('administrator');
      const request = { transmitter_id: stream, ...more };
      return await callOperation(bus, operations.verifyTransmitter, { app: 'administrator' }, request, {
        timeoutMs: patienceMs,
      });
    };
    const sends = async (state: string, to = stream) => {
      const sub_id = { format: 'opaque', id: stream };
      const token = await transmitter.sign({ audience, events: { [verification]: { state } }, claims: { sub_id } });
      await push(token, { to });
    };
    const notAsked = { code: 'transmitter.not_asked' };

    beforeEach(() => (transmitter.verifications.length = 0));
    afterEach(() => {
      transmitter.verifies = undefined;
      transmitter.bearer = undefined;
    });

    test('is known by its state when it comes, and the transmitter is found by its metadata', async () => {
      transmitter.verifies = async (state) => await sends(state);
      const told = await asks({ stream_id: 'stream-1' });
      expect(told).toMatchObject({ transmitter_id: stream, verified: true });
      expect(transmitter.verifications).toEqual([{ stream_id: 'stream-1', state: told.state }]);
      expect(await weighed()).toMatchObject([{ type: verification, outcome: 'recorded' }]);
      await sends(told.state);
      expect(await stored()).toHaveLength(1);
    });

    test('is another one with another state, or of another transmitter', async () => {
      const other = await newStream();
      transmitter.verifies = async (state) => {
        await sends(`${state}x`);
        await sends(state, other);
      };
      expect(await asks({ endpoint: transmitter.verificationUri })).toMatchObject({ verified: false });
      expect(await stored()).toHaveLength(2);
    }, 60_000);

    test('is asked for with the bearer token that a registration keeps, the older one too', async () => {
      vault.webhookSecrets.set(registration, ['the token', 'a newer one']);
      transmitter.bearer = 'the token';
      transmitter.verifies = async (state) => await sends(state);
      await expect(asks()).rejects.toMatchObject(notAsked);
      const bearer_of = { tenant_id: party.tenantId, registration_id: registration };
      expect(await asks({ bearer_of })).toMatchObject({ verified: true });
      const strange = { tenant_id: newId('tenant'), registration_id: registration };
      await expect(asks({ bearer_of: strange })).rejects.toMatchObject(notAsked);
    });

    test('cannot be asked for where nobody listens, or of whom nothing is taken', async () => {
      await expect(asks({ endpoint: 'http://127.0.0.1:9/verify' })).rejects.toMatchObject(notAsked);
      const elsewhere = await newStream({ issuer: `${transmitter.issuer}/elsewhere` });
      await expect(asks({ transmitter_id: elsewhere })).rejects.toMatchObject(notAsked);
      const nobody = newId('transmitter');
      await expect(asks({ transmitter_id: nobody })).rejects.toMatchObject({ code: 'transmitter.not_found' });
      const event = { type: 'TransmitterDisabled', version: 1, data: { reason: null } } as const;
      await world.configured(event, { tenantId: party.tenantId, id: stream });
      await waitFor(
        async () =>
          await asks().then(
            () => false,
            ({ code }: { code: string }) => code === 'transmitter.disabled',
          ),
        { describe: 'the transmitter to be disabled', timeoutMs: patienceMs },
      );
    });
  });

  test('no log line holds a token or whom it is about', () => {
    const log = lines.join('');
    expect(log).toContain('a security event was taken in');
    for (const secret of ['eyJ', 'the-bearer-token', 'ada@example.com', account.subject])
      expect(log).not.toContain(secret);
  });
});
