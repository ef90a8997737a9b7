import { appNames } from '@postern/contracts';

import { dataFolder } from '../data-folder/paths.ts';
import { serviceEnvironment } from './service-environment.ts';

afterEach(() => {
  delete process.env['POSTERN_KEYRING_PASSPHRASE_FILE'];
});

const environments = async () => {
  const folder = await dataFolder('/tmp/postern-nowhere');
  const where = { natsUrl: 'nats://127.0.0.1:4222', publicUrl: 'http://127.0.0.1:7420', httpPort: 7421 };
  return new Map(appNames.map((app) => [app, serviceEnvironment(app, { folder, ...where })]));
};
const appsTold = async (variable: string) =>
  [...(await environments())].filter(([, env]) => env[variable] !== undefined).map(([app]) => app);

test('the passphrase of the key file is named to the vault, and to nobody else', async () => {
  expect(await appsTold('POSTERN_KEYRING_PASSPHRASE_FILE')).toEqual([]);
  process.env['POSTERN_KEYRING_PASSPHRASE_FILE'] = '/etc/postern/passphrase';
  expect(await appsTold('POSTERN_KEYRING_PASSPHRASE_FILE')).toEqual(['vault']);
});

test('a key is named to the one app that holds it', async () => {
  expect(await appsTold('POSTERN_DATABASE_URL_FILE')).toEqual(['vault']);
  expect(await appsTold('POSTERN_TOKEN_KEY_FILE')).toEqual(['gateway']);
  expect(await appsTold('POSTERN_COOKIE_KEY_FILE')).toEqual(['authorization']);
});
