import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { isPosternError, limits, type PosternError } from '@postern/contracts';
import { generateSealingKey, generateSigningKey, Secret } from '@postern/crypto';
import { describeConfig, readConfig } from './config.ts';
import { choice, duration, flag, integer, secretFile, secretFileOf, text } from './config-fields.ts';
import { assertLimits, defineConfig, ServiceConfig } from './service-config.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

const trust = {
  writers: { vault: [generateSigningKey().publicJwk] },
  recipients: { vault: generateSealingKey().publicJwk },
};
const env = {
  POSTERN_NATS_CREDS_FILE: file('creds', 'the creds'),
  POSTERN_TRUST_FILE: file('trust.json', JSON.stringify(trust), 0o644),
};

function refusal(read: () => unknown): PosternError {
  try {
    read();
  } catch (error) {
    if (isPosternError(error)) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

function problems(read: () => unknown): Record<string, string> {
  const { code, details } = refusal(read);
  expect(code).toBe('config.invalid');
  return Object.fromEntries((details.fields ?? []).map(({ path, reason }) => [path, reason]));
}

class AppConfig extends defineConfig({
  databaseUrl: secretFile().optional(),
  cacheTtlMs: duration({ minMs: 100, maxMs: 60_000 }).default(5_000),
  retriesMax: integer({ min: 0, max: 9 }).default(3),
  keyring: choice(['local', 'vault']).default('local'),
  allowLoopbackProviders: flag().default(false),
  label: text().optional(),
}) {}

describe('the configuration', () => {
  test('is read from variables whose names follow from the properties', () => {
    const config = readConfig(AppConfig, {
      ...env,
      POSTERN_CACHE_TTL: '2s',
      POSTERN_RETRIES_MAX: '7',
      POSTERN_KEYRING: 'vault',
      POSTERN_ALLOW_LOOPBACK_PROVIDERS: 'true',
      POSTERN_DATABASE_URL_FILE: file('db', 'postgres://who:secret@where\n'),
      POSTERN_PUBLIC_URL: 'https://postern.example/',
    });
    expect(config).toBeInstanceOf(AppConfig);
    expect(config.cacheTtlMs).toBe(2_000);
    expect(config.retriesMax).toBe(7);
    expect(config.keyring).toBe('vault');
    expect(config.allowLoopbackProviders).toBe(true);
    expect(config.databaseUrl?.reveal()).toBe('postgres://who:secret@where');
    expect(config.publicUrl).toBe('https://postern.example');
    expect(config.trust).toEqual(trust);
    expect(config.label).toBeUndefined();
  });

  test('is frozen', () => {
    const config = readConfig(AppConfig, env);
    expect(Object.isFrozen(config)).toBe(true);
    expect(() => Object.assign(config, { httpPort: 1 })).toThrow(TypeError);
  });

  test('names an instance that a subject may hold, another one each time', () => {
    const [one, other] = [readConfig(AppConfig, env), readConfig(AppConfig, env)];
    expect(one.instanceId).toMatch(/^[A-Za-z0-9_-]{12}$/);
    expect(one.instanceId).not.toBe(other.instanceId);
  });

  test.each([
    ['POSTERN_CACHE_TTL', '5', 'unit'],
    ['POSTERN_CACHE_TTL', '5 s', 'unit'],
    ['POSTERN_CACHE_TTL', '99ms', 'between'],
    ['POSTERN_CACHE_TTL', '2m', 'between'],
    ['POSTERN_RETRIES_MAX', '3.5', 'whole number'],
    ['POSTERN_RETRIES_MAX', '10', 'between'],
    ['POSTERN_KEYRING', 'paper', 'one of local, vault'],
    ['POSTERN_ALLOW_LOOPBACK_PROVIDERS', '1', 'true or false'],
    ['POSTERN_HTTP_PORT', '65536', 'between'],
    ['POSTERN_LOG_LEVEL', 'loud', 'one of'],
    ['POSTERN_INSTANCE_ID', 'a.b', 'A-Z'],
    ['POSTERN_PUBLIC_URL', 'http://postern.example', 'https'],
    ['POSTERN_NATS_URL', 'http://127.0.0.1:4222', 'nats://'],
    ['POSTERN_NATS_URL', 'nats://user:password@127.0.0.1:4222', 'without credentials'],
    ['POSTERN_NATS_URL', 'nats://127.0.0.1:4222,nats://10.0.0.1:4222', 'TLS'],
    ['POSTERN_TRUST_FILE', file('no-json', 'secret-looking text', 0o644), 'trust bundle'],
    ['POSTERN_TRUST_FILE', file('no-trust', '{"writers":{"nobody":[]}}', 0o644), 'trust bundle'],
    ['POSTERN_NATS_CREDS_FILE', file('readable', 'the creds', 0o640), 'chmod 600'],
    ['POSTERN_NATS_CREDS_FILE', file('world', 'the creds', 0o604), 'chmod 600'],
    ['POSTERN_NATS_CREDS_FILE', join(folder, 'missing'), 'ENOENT'],
    ['POSTERN_NATS_CREDS_FILE', folder, 'cannot be read'],
    ['POSTERN_NATS_CREDS_FILE', file('empty', '\n'), 'empty'],
    ['POSTERN_NATS_CREDS_FILE', file('huge', 'x'.repeat(300_000)), 'over'],
    ['POSTERN_NATS_CREDS_FILE', '', 'is not set'],
  ])('refuses %s=%s', (variable, value, word) => {
    const found = problems(() => readConfig(AppConfig, { ...env, [variable]: value }));
    expect(Object.keys(found)).toEqual([variable]);
    expect(found[variable]).toContain(word);
  });

  test('names every wrong variable at once', () => {
    const wrong = { POSTERN_HTTP_PORT: 'x', POSTERN_CACHE_TTL: '1' };
    expect(Object.keys(problems(() => readConfig(AppConfig, wrong))).sort()).toEqual([
      'POSTERN_CACHE_TTL',
      'POSTERN_HTTP_PORT',
      'POSTERN_NATS_CREDS_FILE',
      'POSTERN_TRUST_FILE',
    ]);
  });

  test('takes no secret from the environment itself', () => {
    const given = { ...env, POSTERN_DATABASE_URL: 'postgres://who:secret@where' };
    const refused = refusal(() => readConfig(AppConfig, given));
    expect(refused.code).toBe('config.invalid');
    expect(inspect(refused)).not.toContain('who:secret');
  });

  test('goes without TLS to another machine only when that was said', () => {
    const far = { ...env, POSTERN_NATS_URL: 'nats://nats:4222' };
    expect(problems(() => readConfig(AppConfig, far))).toHaveProperty('POSTERN_NATS_URL');
    expect(readConfig(AppConfig, { ...far, POSTERN_ALLOW_PLAINTEXT_NATS: 'true' }).natsUrl).toBe('nats://nats:4222');
    expect(readConfig(AppConfig, { ...env, POSTERN_NATS_URL: 'tls://nats:4222' }).natsUrl).toBe('tls://nats:4222');
  });

  test('blames the variable that a rule of the app names', () => {
    class Ruled extends defineConfig({ soonMs: duration({ minMs: 0, maxMs: 9_000 }).default(2_000) }, [
      { variable: 'POSTERN_SOON', broken: ({ soonMs }) => (soonMs < 1_000 ? 'must be a second or more' : undefined) },
    ]) {}
    expect(problems(() => readConfig(Ruled, { ...env, POSTERN_SOON: '10ms' }))).toHaveProperty('POSTERN_SOON');
  });

  test('says of a secret that did not parse what was expected, not what it held', () => {
    const parse = (content: Secret) => JSON.parse(content.reveal()) as object;
    class Keyed extends defineConfig({ key: secretFileOf(parse, 'a JSON key') }) {}
    const refused = refusal(() => readConfig(Keyed, { ...env, POSTERN_KEY_FILE: file('key', 'hunter2') }));
    expect(refused.message).toContain('a JSON key');
    expect(inspect(refused)).not.toContain('hunter2');
  });
});

describe('postern doctor', () => {
  test('is told every value, its variable and its source, and no secret', () => {
    const db = file('db2', 'postgres://who:secret@where');
    const entries = describeConfig(AppConfig, { ...env, POSTERN_DATABASE_URL_FILE: db, POSTERN_HTTP_PORT: 'x' });
    const of = (property: string) => entries.find((entry) => entry.property === property);
    expect(of('databaseUrl')).toMatchObject({ source: 'file', value: db, variable: 'POSTERN_DATABASE_URL_FILE' });
    expect(of('cacheTtlMs')).toMatchObject({ source: 'default', value: '5000', variable: 'POSTERN_CACHE_TTL' });
    expect(of('label')).toMatchObject({ source: 'absent', value: '' });
    expect(of('httpPort')?.problem).toContain('whole number');
    expect(JSON.stringify(entries)).not.toContain('secret@where');
    expect(JSON.stringify(entries)).not.toContain('the creds');
  });

  test('knows the configuration that all services share', () => {
    expect(describeConfig(ServiceConfig, env).map(({ variable }) => variable)).toContain('POSTERN_SHUTDOWN_GRACE');
  });
});

describe('limits', () => {
  test('stand in the order the promises rest on', () => {
    expect(() => assertLimits()).not.toThrow();
  });

  test.each([
    { providerTimeoutMs: limits.claimTimeoutMs },
    { claimTimeoutMs: limits.refreshAckWaitMs },
    { refreshAckWaitMs: limits.claimTimeoutMs },
  ])('are refused in another order: %o', (changed) => {
    expect(refusal(() => assertLimits({ ...limits, ...changed })).code).toBe('config.invalid');
  });
});
