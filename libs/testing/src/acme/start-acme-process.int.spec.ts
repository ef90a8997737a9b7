import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { waitFor } from '../wait-for.ts';
import { readAcmeReport, startAcmeProcess } from './start-acme-process.ts';

test('an Acme of its own process is steered from this one and tells its counts', async () => {
  const acme = await startAcmeProcess({ accessTokenTtlS: 7 });
  try {
    const app = await acme.registerClient({
      redirectUris: ['http://127.0.0.1:9/cb'],
      tokenEndpointAuthMethod: 'client_secret_post',
    });
    await acme.setAccessTokenTtl(9);
    await acme.setFaults({ tokenEndpoint: { hold: true, times: 1 } });
    const form = {
      grant_type: 'refresh_token',
      refresh_token: 'r',
      client_id: app.clientId,
      client_secret: app.clientSecret ?? '',
    };
    const answer = fetch(acme.endpoints.token, { method: 'POST', body: new URLSearchParams(form) });
    await waitFor(async () => (await acme.report()).held === 1, { describe: 'the call to be held' });
    await acme.releaseHeld();
    expect((await answer).status).toBe(400);
    expect(await readAcmeReport(acme.issuer)).toMatchObject({
      tokenRequestsTotal: 1,
      tokenRequests: { refresh_token: { invalid_grant: 1 } },
    });
    await acme.clearFaults();

    await expect(acme.setAccessTokenTtl(-1)).rejects.toThrow('whole seconds');
    const stranger = await fetch(`${acme.issuer}/_control`, { method: 'POST', body: '{"do":"clearFaults"}' });
    expect(stranger.status).toBe(401);
  } finally {
    await acme.close();
  }
  await expect(readAcmeReport(acme.issuer)).rejects.toThrow('fetch failed');
});

test('an Acme that cannot start says so', async () => {
  const first = await startAcmeProcess();
  try {
    await expect(startAcmeProcess({ port: first.port, quiet: true })).rejects.toThrow('ended before it was ready');
  } finally {
    await first.close();
  }
});

test('an Acme is gone with its parent, even after kill -9', async () => {
  const program = new URL('./start-acme-process.ts', import.meta.url).href;
  const script = `const { startAcmeProcess } = await import(${JSON.stringify(program)});
    console.log((await startAcmeProcess()).issuer); setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [issuer] = await once(createInterface({ input: parent.stdout }), 'line');
  expect(await readAcmeReport(String(issuer))).toMatchObject({ tokenRequestsTotal: 0 });

  parent.kill('SIGKILL');
  const gone = async () =>
    readAcmeReport(String(issuer)).then(
      () => false,
      () => true,
    );
  await waitFor(gone, { describe: 'Acme to end with its parent' });
});
