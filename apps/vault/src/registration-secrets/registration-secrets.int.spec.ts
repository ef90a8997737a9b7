import { createHash, createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { rmSync } from 'node:fs';

import { MikroORM } from '@mikro-orm/postgresql';
import { newId, operations, type RegistrationSecretKind } from '@postern/contracts';
import { generateJwtKey, jwtSigner } from '@postern/crypto';
import * as domain from '@postern/domain';
import { createOperator, serverOperatorConfig } from '@postern/nats';
import { TestAuthority } from '@postern/testing';
import { startNatsServer, startPostgres, temporaryDataDir, type NatsServer, type Postgres } from '@postern/servers';

import { codeOf, specNats, VaultWorld, type Customer } from '../spec-world.ts';

const folder = temporaryDataDir('postern-registration-secrets-');
let nats: NatsServer;
let postgres: Postgres;
let owner: MikroORM;
let world: VaultWorld;

beforeAll(async () => {
  const bundle = await createOperator();
  [nats, postgres] = await Promise.all([
    startNatsServer({ dataDir: `${folder}/nats`, config: { operatorMode: serverOperatorConfig(bundle), ...specNats } }),
    startPostgres({ dataDir: `${folder}/postgres` }),
  ]);
  await postgres.createDatabase('secrets');
  const ownerUrl = postgres.urlOf('secrets');
  const places = { natsUrl: nats.url, bundle, ownerUrl, serviceRole: 'vault_secrets', folder: `${folder}/world` };
  world = await VaultWorld.open(places);
  owner = new MikroORM({ clientUrl: ownerUrl, entities: [], discovery: { warnWhenNoEntities: false } });
  await world.startVault();
}, 240_000);

afterAll(async () => {
  await owner?.close(true);
  await world?.close();
  await Promise.all([nats?.stop(), postgres?.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

const registrationOf = ({ tenantId, registrationId }: Customer) => ({
  tenant_id: tenantId,
  registration_id: registrationId,
});
const store = (of: Customer, secret: string) =>
  world.call('administrator', operations.storeClientSecret, {
    ...registrationOf(of),
    sealed_secret: world.sealTo('vault', secret),
  });

const hourMs = 3_600_000;

/** Records a stored secret, as `postern registrations rotate` does. */
async function putIntoUse(
  of: Customer,
  version: number,
  { overlapMs = hourMs, kind = 'client_secret' }: { overlapMs?: number; kind?: RegistrationSecretKind } = {},
): Promise<void> {
  await decide(of, (state) =>
    domain.storeRegistrationSecret(
      { kind, secretVersion: version, publicJwk: null, overlapMs, nowMs: Date.now() },
      state,
    ),
  );
}

async function decide(of: Customer, decider: (state: domain.Registration) => domain.RegistrationEvent[]) {
  await world.admin(of.tenantId, domain.registrationEvolver, of.registrationId, decider);
}

async function released(app: 'refresh' | 'revocation' | 'authorization', of: Customer, refused?: number) {
  const request = { ...registrationOf(of), refused_version: refused };
  const { sealed_secret, secret_version } = await world.call(app, operations.releaseClientSecret, request);
  return [secret_version, world.openAs(app, sealed_secret)];
}

/** The superuser sees every row: what an attacker with the database has. */
async function asAttacker(sql: string, params: readonly unknown[] = []): Promise<Record<string, unknown>[]> {
  return await owner.em.getConnection().execute(sql, [...params]);
}

async function versionsHeld({ registrationId }: Customer, kind: RegistrationSecretKind): Promise<unknown[]> {
  const rows = await asAttacker('select version from vault.owned_secret where owner_id = ? and kind = ? order by 1', [
    registrationId,
    kind,
  ]);
  return rows.map(({ version }) => version);
}

describe('a client secret', () => {
  test('is sealed to the app that asks, in the version that the log names', async () => {
    const of = await world.customer();
    expect(await store(of, 'one')).toEqual({ secret_version: 1 });
    expect(await store(of, 'one')).toEqual({ secret_version: 1 });
    expect(await codeOf(released('refresh', of))).toBe('vault.credential_missing');
    await putIntoUse(of, 1);
    expect(await store(of, 'two')).toEqual({ secret_version: 2 });
    for (const app of ['authorization', 'refresh', 'revocation'] as const) {
      expect(await released(app, of)).toEqual([1, 'one']);
    }
    await putIntoUse(of, 2);
    expect(await released('refresh', of)).toEqual([2, 'two']);
  });

  test('that was refused is answered with the other one, either way, while both are in use', async () => {
    const of = await world.customer();
    await store(of, 'one');
    await putIntoUse(of, 1);
    expect(await released('refresh', of, 1)).toEqual([1, 'one']);
    await store(of, 'two');
    await putIntoUse(of, 2);
    expect(await released('refresh', of, 1)).toEqual([2, 'two']);
    expect(await released('refresh', of, 2)).toEqual([1, 'one']);
    await decide(of, (state) => domain.retireRegistrationSecret({ kind: 'client_secret', secretVersion: 1 }, state));
    expect(await released('refresh', of, 2)).toEqual([2, 'two']);
  });

  test('that is over is deleted, and neither the one in use nor the one before it in its overlap is', async () => {
    const of = await world.customer();
    const deleteEnded = () =>
      world.call('administrator', operations.deleteEndedSecrets, { ...registrationOf(of), kind: 'client_secret' });
    for (const [index, secret] of ['one', 'two', 'three'].entries()) {
      await store(of, secret);
      await putIntoUse(of, index + 1, { overlapMs: index === 1 ? 0 : hourMs });
    }
    await store(of, 'not yet recorded');
    expect(await deleteEnded()).toEqual({ deleted: 1 });
    expect(await versionsHeld(of, 'client_secret')).toEqual([2, 3, 4]);
    expect(await deleteEnded()).toEqual({ deleted: 0 });
    expect(await released('refresh', of, 3)).toEqual([2, 'two']);
  });

  test('of a disabled registration is given to revocation alone', async () => {
    const of = await world.customer();
    await store(of, 'one');
    await putIntoUse(of, 1);
    await decide(of, (state) => domain.disableRegistration({ reason: null }, state));
    expect(await codeOf(released('refresh', of))).toBe('registration.disabled');
    expect(await released('revocation', of)).toEqual([1, 'one']);
  });

  test('of a registration that does not exist, or that has none, is refused', async () => {
    const of = await world.customer();
    expect(await codeOf(released('refresh', of))).toBe('vault.credential_missing');
    const elsewhere = [
      { ...of, registrationId: newId('registration') },
      { ...of, tenantId: newId('tenant') },
    ];
    for (const other of elsewhere) {
      expect(await codeOf(released('refresh', other))).toBe('registration.not_found');
      expect(await codeOf(store(other, 'one'))).toBe('registration.not_found');
    }
    expect(await codeOf(store(of, ''))).toBe('request.malformed');
    expect(await codeOf(store(of, 'x'.repeat(4_097)))).toBe('request.malformed');
  });
});

describe('a client certificate', () => {
  let authority: TestAuthority;
  beforeAll(async () => (authority = await TestAuthority.make()));
  afterAll(() => authority.close());

  const give = (of: Customer, pem: string) =>
    world.call('administrator', operations.storeTlsCertificate, {
      ...registrationOf(of),
      sealed_certificate: world.sealTo('vault', pem),
    });
  const had = async (app: 'refresh' | 'revocation' | 'authorization', of: Customer, refused?: number) => {
    const request = { ...registrationOf(of), refused_version: refused };
    const answer = await world.call(app, operations.releaseTlsCertificate, request);
    return { version: answer.secret_version, pem: world.openAs(app, answer.sealed_certificate) };
  };

  test('goes with its chain and its key to who makes connections, and within an overlap the one before it, too', async () => {
    const of = await world.customer();
    const [first, second] = [await authority.issue('one.example'), await authority.issue('two.example')];
    const stored = await give(of, `# from our authority\n${first.privateKey}${first.certificate}${authority.ca}`);
    const digest = createHash('sha256').update(new X509Certificate(first.certificate).raw).digest('base64url');
    expect(stored).toMatchObject({ secret_version: 1, certificate: { x5t_s256: digest } });
    await putIntoUse(of, 1, { kind: 'tls_certificate' });
    await give(of, second.pem);
    await putIntoUse(of, 2, { kind: 'tls_certificate' });
    for (const app of ['authorization', 'refresh', 'revocation'] as const) {
      const newest = await had(app, of);
      expect(newest.version).toBe(2);
      expect(newest.pem.startsWith(second.certificate.trim())).toBe(true);
      const { version, pem } = await had(app, of, 2);
      expect([version, pem]).toEqual([1, expect.not.stringContaining('# from')]);
      expect(pem.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
      expect(new X509Certificate(pem).checkPrivateKey(createPrivateKey(pem))).toBe(true);
    }
  });

  test('that no server would take is not stored', async () => {
    const of = await world.customer();
    const [one, other] = [await authority.issue('one.example'), await authority.selfSigned('other.example')];
    const ended = await authority.issue('one.example', { days: -1 });
    const curve = { namedCurve: 'secp256k1', privateKeyEncoding: { type: 'pkcs8', format: 'pem' } } as const;
    const publicKeyEncoding = { type: 'spki', format: 'pem' } as const;
    const { privateKey: unusual } = generateKeyPairSync('ec', { ...curve, publicKeyEncoding });
    const unfit = {
      'without a key': one.certificate,
      'without a certificate': one.privateKey,
      'with the key of another': one.certificate + other.privateKey,
      'with two keys': one.pem + other.privateKey,
      'with a key of another kind': one.certificate + unusual,
      'signed by another than the next one': one.certificate + other.certificate + one.privateKey,
      'that has ended': ended.pem,
      'too long': one.pem + '#'.repeat(16 * 1024),
      'no PEM': 'no certificate',
    };
    for (const [what, pem] of Object.entries(unfit)) {
      expect([what, await codeOf(give(of, pem))]).toEqual([what, 'request.malformed']);
    }
    expect(await versionsHeld(of, 'tls_certificate')).toEqual([]);
  });
});

describe('a webhook secret', () => {
  test('is given to revocation, every one that a delivery may be signed with', async () => {
    const of = await world.customer();
    const given = async () => {
      const { secrets } = await world.call('revocation', operations.releaseWebhookSecrets, registrationOf(of));
      return secrets.map(({ sealed_secret, secret_version }) => [
        secret_version,
        world.openAs('revocation', sealed_secret),
      ]);
    };
    expect(await given()).toEqual([]);
    for (const version of [1, 2]) {
      const sealed = { ...registrationOf(of), sealed_secret: world.sealTo('vault', `whsec ${version}`) };
      expect(await world.call('administrator', operations.storeWebhookSecret, sealed)).toEqual({
        secret_version: version,
      });
      await putIntoUse(of, version, { kind: 'webhook_secret' });
    }
    expect(await given()).toEqual([
      [2, 'whsec 2'],
      [1, 'whsec 1'],
    ]);
    expect(await codeOf(released('refresh', of))).toBe('vault.credential_missing');
  });
});

describe('a private key', () => {
  const make = (of: Customer) =>
    world.call('administrator', operations.makePrivateKey, { ...registrationOf(of), algorithm: 'EdDSA' });
  const give = (of: Customer, key: string) =>
    world.call('administrator', operations.importPrivateKey, {
      ...registrationOf(of),
      sealed_key: world.sealTo('vault', key),
    });

  test('that the vault makes shows its public part, and another one each time', async () => {
    const of = await world.customer();
    const [first, second] = [await make(of), await make(of)];
    expect([first.secret_version, second.secret_version]).toEqual([1, 2]);
    expect(first.public_jwk).toMatchObject({ kty: 'OKP', crv: 'Ed25519', alg: 'EdDSA', use: 'sig' });
    expect(first.public_jwk).not.toHaveProperty('d');
    expect(first.public_jwk.kid).not.toBe(second.public_jwk.kid);
  });

  test('that a provider knows already keeps its number when it comes again; what is none is refused', async () => {
    const of = await world.customer();
    const pkcs8 = generateJwtKey('ES256');
    const pem = `-----BEGIN PRIVATE KEY-----\n${pkcs8.toString('base64')}\n-----END PRIVATE KEY-----\n`;
    const given = await give(of, pem);
    expect(given).toEqual({ secret_version: 1, public_jwk: jwtSigner(pkcs8).publicJwk });
    expect(await give(of, pem)).toEqual(given);
    expect(await codeOf(give(of, 'no key'))).toBe('request.malformed');
  });
});

test('a secret does not open as another version, another kind or another registration’s', async () => {
  const [mine, theirs] = [await world.customer(), await world.customer()];
  for (const one of [mine, theirs]) {
    await store(one, 'one');
    await store(one, 'two');
    await putIntoUse(one, 1);
  }
  const [ours, others] = [mine.registrationId, theirs.registrationId];
  const move = (change: string, where: string) =>
    asAttacker(`update vault.owned_secret set ${change} where owner_id = '${ours}' and ${where}`);
  const ciphertextOf = (id: string, version: number) =>
    `(select ciphertext from vault.owned_secret where owner_id = '${id}' and version = ${version})`;
  const original = ciphertextOf(ours, 1);
  await asAttacker(`create table vault.kept as select ${original} as ciphertext`);
  await move(`ciphertext = ${ciphertextOf(ours, 2)}`, 'version = 1');
  expect(await codeOf(released('refresh', mine))).toBe('vault.ciphertext_invalid');
  await move(`ciphertext = ${ciphertextOf(others, 1)}`, 'version = 1');
  expect(await codeOf(released('refresh', mine))).toBe('vault.ciphertext_invalid');
  await move('ciphertext = (select ciphertext from vault.kept)', 'version = 1');
  expect(await released('refresh', mine)).toEqual([1, 'one']);
  await move(`kind = 'webhook_secret'`, 'version = 1');
  await putIntoUse(mine, 1, { kind: 'webhook_secret' });
  const asWebhookSecret = world.call('revocation', operations.releaseWebhookSecrets, registrationOf(mine));
  expect(await codeOf(asWebhookSecret)).toBe('vault.ciphertext_invalid');
  await asAttacker('drop table vault.kept');
});
