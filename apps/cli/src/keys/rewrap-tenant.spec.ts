import { newId, operations, type KeysRewrapped, type Operation } from '@postern/contracts';
import type { KeyAdministration } from '@postern/keyring';

import { rewrapTenant, type RunOptions } from './rewrap-tenant.ts';

const tenantId = newId('tenant');
const connection = newId('connection');
const whole: KeysRewrapped = { total: 3, done: 3, failed: [], next: null };

/** A vault that answers step by step, and a key file that counts what is done to it. */
function places(steps: readonly KeysRewrapped[]) {
  const left = [...steps];
  const asked: Record<string, unknown>[] = [];
  const done: string[] = [];
  const call = async (operation: Operation, _tenantId: string, request: Record<string, unknown>) => {
    asked.push(request);
    if (operation.name === operations.keysRetired.name) {
      done.push('told');
      return { before_version: request['before_version'], gone_since: '2026-01-01T00:00:00.000Z' };
    }
    return left.shift();
  };
  const administration: KeyAdministration = {
    ensureTenantKey: async () => undefined,
    rotate: async () => (done.push('rotated'), 2),
    retireBefore: async ({ version }) => void done.push(`retired before ${version}`),
    status: async () => ({ kind: 'local', ready: true, keyVersions: { oldest: 1, latest: 5 } }),
    close: async () => undefined,
  };
  return { session: { call: call as never }, administration, asked, done };
}

const run = (more: Partial<RunOptions> = {}) => ({
  tenantId,
  ...{ rotate: true, dataKeys: false, retire: true, onProgress: () => undefined },
  ...more,
});

test('older versions go after the last step, and the vault is told after they are gone', async () => {
  const { session, administration, asked, done } = places([{ total: 3, done: 2, failed: [], next: connection }, whole]);
  const result = await rewrapTenant(session, administration, run());
  expect(done).toEqual(['rotated', 'retired before 2', 'told']);
  expect(asked.map((one) => one['after'])).toEqual([undefined, connection, undefined]);
  expect(result).toMatchObject({ version: 2, total: 3, done: 3, retired_before: 2 });
});

const holes: [string, KeysRewrapped[]][] = [
  ['did not open', [{ ...whole, done: 2, failed: [{ owner_id: connection, code: 'vault.ciphertext_invalid' }] }]],
  ['is still left', [{ ...whole, done: 2 }]],
];
test.each(holes)('no version goes while a data key %s', async (_name, steps) => {
  const { session, administration, done } = places(steps);
  expect(await rewrapTenant(session, administration, run())).toMatchObject({ retired_before: null });
  expect(done).toEqual(['rotated']);
});

test('no version goes when replacing the data keys failed after all were rewrapped', async () => {
  const failed = [{ owner_id: connection, code: 'connection.not_found' }];
  const { session, administration, done } = places([whole, { ...whole, done: 2, failed }]);
  const result = await rewrapTenant(session, administration, run({ dataKeys: true }));
  expect(result).toMatchObject({ retired_before: null, failed, done: 2 });
  expect(done).toEqual(['rotated']);
});

test('no version goes unless it is asked for', async () => {
  const { session, administration, done } = places([whole]);
  expect(await rewrapTenant(session, administration, run({ retire: false }))).toMatchObject({ retired_before: null });
  expect(done).toEqual(['rotated']);
});

test('taken up again it goes on with the latest version and adds none', async () => {
  const { session, administration, asked, done } = places([whole]);
  const result = await rewrapTenant(session, administration, run({ rotate: false }));
  expect({ done, version: result.version, asked: asked[0]?.['version'] }).toEqual({
    done: ['retired before 5', 'told'],
    version: 5,
    asked: 5,
  });
});
