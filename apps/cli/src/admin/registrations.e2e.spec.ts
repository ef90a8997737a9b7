import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { describeWithServer } from '@postern/servers';

import { story } from '../demo/story.ts';
import { scopes, type World } from '../demo/world.ts';
import { oneWorld } from '../spec-support/one-world.ts';

const command = join(import.meta.dirname, '../../bin/postern.mjs');
const wholeTimeoutMs = 300_000;
const run = promisify(execFile);

interface Jwk {
  readonly kid: string;
  readonly alg: string;
}

/** What `postern registrations … --json` prints, or the code with which it refuses. */
async function registrations({ dataRoot }: World, ...args: string[]): Promise<Record<string, unknown>> {
  const all = [command, 'registrations', ...args, '--data', join(dataRoot, 'data'), '--json'];
  const { stdout } = await run(process.execPath, all).catch(({ stderr }: { stderr: string }) => ({ stdout: stderr }));
  return JSON.parse(stdout) as Record<string, unknown>;
}

const keysOf = ({ jwks }: Record<string, unknown>) => (jwks as { keys: Jwk[] }).keys;

async function register(world: World, keys: readonly Jwk[], registration: Record<string, unknown>): Promise<void> {
  await world.acme.registerClient({
    clientId: 'signs-its-requests',
    redirectUris: [String(registration['redirect_uri'])],
    tokenEndpointAuthMethod: 'private_key_jwt',
    jwks: { keys },
  });
}

await describeWithServer('nats-server', 'postern registrations', () => {
  const started = oneWorld(() => Promise.resolve());

  test(
    'a client that signs is made, connects, refreshes over a rotation of its key, and tells the provider of the end',
    async () => {
      const first = started();
      const made = await registrations(
        first,
        ...['create', '--provider', 'openid-connect', '--name', 'Acme CRM', '--client-id', 'signs-its-requests'],
        ...['--auth-method', 'private_key_jwt', '--parameter', `issuer=${first.acme.issuer}`],
        ...scopes.flatMap((scope) => ['--scope', scope]),
      );
      const registrationId = String(made['registration_id']);
      expect(keysOf(made)).toMatchObject([{ kty: 'EC', alg: 'ES256', use: 'sig' }]);
      await register(first, keysOf(made), made);
      const world = { ...first, registrationId, acmeClientId: 'signs-its-requests' };
      try {
        for (const step of [0, 1, 2]) await story[step]?.run(world);
        const rotated = await registrations(first, 'rotate', registrationId, '--make-private-key', 'EdDSA');
        expect(keysOf(rotated).map(({ alg }) => alg)).toEqual(['EdDSA', 'ES256']);
        expect(keysOf(await registrations(first, 'show', registrationId))).toEqual(keysOf(rotated));
        // The provider knows both, as it should during a rotation.
        await register(first, keysOf(rotated), made);
        await story[3]?.run(world);
        const retire = ['retire', registrationId, '--kind', 'private_key', '--secret-version'];
        expect(await registrations(first, ...retire, '2')).toMatchObject({ code: 'registration.secret_in_use' });
        expect(await registrations(first, ...retire, '1')).toEqual({ kind: 'private_key', secret_version: 1 });
        const { keys } = (await registrations(first, 'show', registrationId))['jwks'] as { keys: Jwk[] };
        expect(keys).toEqual(keysOf(rotated).slice(0, 1));
        await register(first, keys, made);
        await story[6]?.run(world);
      } finally {
        await world.listener?.close();
      }
    },
    wholeTimeoutMs,
  );

  test(
    'secrets come from files and go to the vault; what is not meant is refused before anything is made',
    async () => {
      const world = started();
      const { registrationId, dataRoot } = world;
      const file = join(dataRoot, 'secret');
      writeFileSync(file, 'a new secret\n', { mode: 0o600 });
      const rotate = ['rotate', registrationId];
      expect(await registrations(world, ...rotate, '--client-secret-file', file, '--overlap', '0')).toEqual({
        secret_version: 2,
      });
      expect(await registrations(world, ...rotate, '--webhook-secret-file', file)).toEqual({
        webhook_secret_version: 1,
      });
      const shown = await registrations(world, 'show', registrationId);
      expect(shown['secrets']).toMatchObject([
        { kind: 'client_secret', version: 2, endsAtMs: null },
        { kind: 'webhook_secret', version: 1, endsAtMs: null },
      ]);
      expect(JSON.stringify(shown)).not.toContain('a new secret');
      const before = await world.session.admin.head();
      const create = ['create', '--provider', 'openid-connect', '--name', 'x', '--client-id', 'x'];
      const issuer = ['--parameter', `issuer=${world.acme.issuer}`];
      for (const wrong of [
        rotate,
        [...rotate, '--client-secret-file', file, '--overlap', '-1'],
        [...rotate, '--private-key-file', file],
        [...rotate, '--private-key-file', file, '--make-private-key'],
        [...rotate, '--make-private-key', 'RS256'],
        [...create, ...issuer, '--auth-method', 'client_secret_jwt'],
        [...create, ...issuer, '--audience', 'https://acme.example'],
        [...create, '--auth-method', 'private_key_jwt'],
        create,
        [...create, ...issuer, '--parameter', 'subdomain=acme'],
      ]) {
        expect([wrong, (await registrations(world, ...wrong))['code']]).toEqual([wrong, 'request.malformed']);
      }
      expect(await world.session.admin.head()).toBe(before);
      const linear = [
        'create',
        '--provider',
        'linear',
        '--name',
        'x',
        '--client-id',
        'x',
        '--client-secret-file',
        file,
      ];
      const { registration_id: id } = await registrations(world, ...linear);
      expect(await registrations(world, 'show', String(id))).toMatchObject({
        tokenEndpointAuthMethod: 'client_secret_post',
      });
    },
    wholeTimeoutMs,
  );
});
