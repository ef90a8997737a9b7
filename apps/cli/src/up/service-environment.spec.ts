import { appNames } from '@postern/contracts';

import { dataFolder } from '../data-folder/paths.ts';
import { serviceEnvironment } from './service-environment.ts';

const aKeyServer = 'https://127.0.0.1:8200';

const toldToNotifier = ['POSTERN_CHECKPOINT_DIR', 'POSTERN_WITNESSES', 'POSTERN_WITNESS_QUORUM'];

afterEach(() => {
  delete process.env['POSTERN_KEYRING_PASSPHRASE_FILE'];
  delete process.env['NODE_USE_ENV_PROXY'];
  delete process.env['POSTERN_ALLOWED_PROVIDER_ADDRESSES'];
  for (const variable of [...toldToNotifier, 'POSTERN_CHECKPOINT_INTERVAL']) delete process.env[variable];
});

const environments = async (keyServerUrl?: string) => {
  const folder = await dataFolder('/tmp/postern-nowhere');
  const where = { natsUrl: 'nats://127.0.0.1:4222', publicUrl: 'http://127.0.0.1:7420', httpPort: 7421, keyServerUrl };
  return new Map(appNames.map((app) => [app, serviceEnvironment(app, { folder, ...where })]));
};
const appsTold = async (variable: string, keyServerUrl?: string) =>
  [...(await environments(keyServerUrl))].filter(([, env]) => env[variable] !== undefined).map(([app]) => app);

test('the passphrase of the key file is named to the vault, and to nobody else', async () => {
  expect(await appsTold('POSTERN_KEYRING_PASSPHRASE_FILE')).toEqual([]);
  process.env['POSTERN_KEYRING_PASSPHRASE_FILE'] = '/etc/postern/passphrase';
  expect(await appsTold('POSTERN_KEYRING_PASSPHRASE_FILE')).toEqual(['vault']);
});

test('how to go through a proxy is told to every service', async () => {
  process.env['NODE_USE_ENV_PROXY'] = '1';
  expect(await appsTold('NODE_USE_ENV_PROXY')).toEqual([...appNames]);
});

test('where a provider may be all the same is told to those who call providers', async () => {
  process.env['POSTERN_ALLOWED_PROVIDER_ADDRESSES'] = '10.1.0.0/16';
  expect(await appsTold('POSTERN_ALLOWED_PROVIDER_ADDRESSES')).toEqual(['authorization', 'refresh', 'revocation']);
});

test('where checkpoints are dropped, and who cosigns them, is told to notifier alone', async () => {
  for (const variable of toldToNotifier) {
    process.env[variable] = 'something';
    expect(await appsTold(variable)).toEqual(['notifier']);
  }
});

test('how often checkpoints are signed is told to audit alone', async () => {
  process.env['POSTERN_CHECKPOINT_INTERVAL'] = '10s';
  expect(await appsTold('POSTERN_CHECKPOINT_INTERVAL')).toEqual(['audit']);
});

test('a key is named to the one app that holds it', async () => {
  expect(await appsTold('POSTERN_DATABASE_URL_FILE')).toEqual(['vault', 'revocation', 'audit', 'notifier']);
  const urls = [...(await environments()).values()].flatMap((env) => env['POSTERN_DATABASE_URL_FILE'] ?? []);
  expect(new Set(urls).size).toBe(4);
  expect(await appsTold('POSTERN_DIGEST_KEY_FILE')).toEqual(['authorization', 'revocation']);
  expect(await appsTold('POSTERN_TOKEN_KEY_FILE')).toEqual(['gateway']);
  expect(await appsTold('POSTERN_COOKIE_KEY_FILE')).toEqual(['authorization']);
});

test.each([undefined, aKeyServer])("the role at the key server %s is the vault's alone", async (keyServerUrl) => {
  for (const [app, environment] of await environments(keyServerUrl)) {
    const text = JSON.stringify(environment);
    expect([app, /KEYRING|keyring|vault-role-id|vault-secret-id/.test(text)]).toEqual([app, app === 'vault']);
    expect(text).not.toContain('identities/provisioner');
  }
});

test('with a key server the vault is told of no key file, without one of no key server', async () => {
  expect(await appsTold('POSTERN_KEYRING_VAULT_URL')).toEqual([]);
  expect(await appsTold('POSTERN_KEYRING_VAULT_SECRET_ID_FILE', aKeyServer)).toEqual(['vault']);
  expect(await appsTold('POSTERN_KEYRING_KEY_FILE', aKeyServer)).toEqual([]);
});
