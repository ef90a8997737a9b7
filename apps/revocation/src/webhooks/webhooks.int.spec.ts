import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { sign as githubSign } from '@octokit/webhooks-methods';
import { limits, newId, PosternError } from '@postern/contracts';
import { createOperator, serverOperatorConfig } from '@postern/nats';
import { describeWithServer, startNatsServer, type NatsServer } from '@postern/servers';
import { Metrics, startService, type RunningService } from '@postern/service';
import Stripe from 'stripe';

import { revocationService } from '../index.ts';
import { SmallVault } from '../spec-support/small-vault.ts';
import { World, type Party } from '../spec-support/world.ts';

const signingSecret = '8f742231b10e8888abcd99yyyzzz85a5';
const nowS = () => Math.floor(Date.now() / 1000);

/** As Slack signs, also what Slack would never send. */
function slackSigned(body: string, { secret = signingSecret, sentS = nowS() } = {}): Record<string, string> {
  const digest = createHmac('sha256', secret).update(`v0:${sentS}:${body}`).digest('hex');
  return {
    'content-type': 'application/json',
    'x-slack-request-timestamp': String(sentS),
    'x-slack-signature': `v0=${digest}`,
  };
}

await describeWithServer('nats-server', 'webhooks', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-webhooks-'));
  let server: NatsServer;
  let world: World;
  let service: RunningService;
  let vault: SmallVault;
  let party: Party;
  let slack: string;
  const lines: string[] = [];

  beforeAll(async () => {
    const bundle = await createOperator();
    server = await startNatsServer({
      dataDir: join(folder, 'nats'),
      config: { operatorMode: serverOperatorConfig(bundle) },
    });
    world = await World.make(server.url, bundle, join(folder, 'files'));
    vault = await new SmallVault(world, 'vault-1').start();
    party = await world.newPlatform();
    service = await startService(revocationService, world.env, {
      logDestination: { write: (line) => void lines.push(line) },
    });
  });
  beforeEach(async () => {
    slack = await world.newRegistration(party, 'slack');
    vault.webhookSecrets.set(slack, [signingSecret]);
    vault.releaseFault = undefined;
    vault.seen.length = 0;
  });
  afterAll(async () => {
    await service?.stop();
    await vault?.stop();
    await world?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const post = async (path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string>) => {
    const response = await fetch(`${service.httpUrl}/webhooks/${path}`, { method: 'POST', body, headers });
    return { status: response.status, text: await response.text(), headers: response.headers };
  };
  /** The answer without what differs from request to request. */
  const told = ({ status, text }: Awaited<ReturnType<typeof post>>) => {
    const { correlation_id: _id, ...rest } = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
    return { status, ...rest };
  };
  const toSlack = async (body: unknown, headers?: Record<string, string>) => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return await post(`slack/${slack}`, text, { ...slackSigned(text), ...headers });
  };
  const counted = (provider: string, outcome: string) =>
    service.get(Metrics).counter('postern.webhooks').value({ provider, outcome });
  const revoked = (more: Record<string, unknown> = {}) => ({
    token: 'the verification token',
    team_id: 'T1',
    api_app_id: 'A1',
    event: { type: 'tokens_revoked', tokens: { bot: ['U2'] } },
    type: 'event_callback',
    event_id: 'Ev1',
    event_time: nowS(),
    ...more,
  });
  const notVerified = { status: 401, code: 'signal.not_verified' };

  describe('what is signed', () => {
    test('is stored before it is answered, without its secrets', async () => {
      expect(await toSlack(revoked())).toMatchObject({ status: 200, text: '' });
      const { token: _token, ...kept } = revoked();
      expect(await world.signalsOf('slack', slack)).toEqual([
        {
          version: 1,
          source: 'slack',
          tenantId: party.tenantId,
          registrationId: slack,
          deliveryId: 'Ev1',
          type: 'tokens_revoked',
          receivedAtMs: expect.any(Number) as number,
          verified: { scheme: 'slack_v0', secretVersion: 1 },
          body: { ...kept, event_time: expect.any(Number) as number },
        },
      ]);
    });

    test('and repeated is answered the same, and stored once', async () => {
      const retry = { 'x-slack-retry-num': '1', 'x-slack-retry-reason': 'http_timeout' };
      const answers = await Promise.all([toSlack(revoked()), toSlack(revoked()), toSlack(revoked(), retry)]);
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
      expect(await toSlack(revoked(), retry)).toMatchObject({ status: 200, text: '' });
      expect(await world.signalsOf('slack', slack)).toHaveLength(1);
    });

    test('Slack’s question is answered with its challenge, and nothing is stored', async () => {
      const reply = await toSlack({ type: 'url_verification', token: 't', challenge: '3eZbrw1aB' });
      expect(reply).toMatchObject({ status: 200, text: '3eZbrw1aB' });
      expect(reply.headers.get('content-type')).toMatch(/^text\/plain/);
      expect(await world.signalsOf('slack', slack)).toEqual([]);
    });

    test('what says nothing of a grant is answered and forgotten', async () => {
      const before = counted('slack', 'ignored');
      expect(await toSlack(revoked({ event: { type: 'message', text: 'hello' } }))).toMatchObject({ status: 200 });
      expect(counted('slack', 'ignored')).toBe(before + 1);
      expect(await world.signalsOf('slack', slack)).toEqual([]);
    });

    test('several apps at one provider have a secret each', async () => {
      const other = await world.newRegistration(party, 'slack');
      vault.webhookSecrets.set(other, ['the secret of another app']);
      const body = JSON.stringify(revoked());
      expect(told(await post(`slack/${other}`, body, slackSigned(body)))).toMatchObject(notVerified);
      const headers = slackSigned(body, { secret: 'the secret of another app' });
      expect(await post(`slack/${other}`, body, headers)).toMatchObject({ status: 200 });
    });

    test('GitHub’s and Stripe’s are known by their own ways', async () => {
      const [github, stripe] = [
        await world.newRegistration(party, 'github-app'),
        await world.newRegistration(party, 'stripe'),
      ];
      for (const id of [github, stripe]) vault.webhookSecrets.set(id, ['a secret']);
      const json = { 'content-type': 'application/json' };
      const authorization = JSON.stringify({ action: 'revoked', sender: { id: 7 } });
      await post(`github-app/${github}`, authorization, {
        ...json,
        'x-github-event': 'github_app_authorization',
        'x-hub-signature-256': await githubSign('a secret', authorization),
      });
      const payload = JSON.stringify({ id: 'evt_1', type: 'account.application.deauthorized', account: 'acct_1' });
      const signature = new Stripe('sk_test_x').webhooks.generateTestHeaderString({ payload, secret: 'a secret' });
      await post(`stripe/${stripe}`, payload, { ...json, 'stripe-signature': signature });
      expect(await world.signalsOf('github-app', github)).toMatchObject([{ type: 'github_app_authorization.revoked' }]);
      expect(await world.signalsOf('stripe', stripe)).toMatchObject([{ deliveryId: 'evt_1' }]);
    });

    test('an id that is not signed makes no new signal of an old one', async () => {
      const github = await world.newRegistration(party, 'github-app');
      vault.webhookSecrets.set(github, ['a secret']);
      const body = JSON.stringify({ action: 'revoked', sender: { id: 7 } });
      const signature = await githubSign('a secret', body);
      for (const delivery of ['one', 'another']) {
        const reply = await post(`github-app/${github}`, body, {
          'content-type': 'application/json',
          'x-github-event': 'github_app_authorization',
          'x-github-delivery': delivery,
          'x-hub-signature-256': signature,
        });
        expect(reply.status).toBe(200);
      }
      expect(await world.signalsOf('github-app', github)).toHaveLength(1);
    });
  });

  describe('the secret', () => {
    test('is asked for once, and either of two counts while they overlap', async () => {
      vault.webhookSecrets.set(slack, ['the older one', signingSecret]);
      await toSlack(revoked());
      const body = JSON.stringify(revoked({ event_id: 'Ev2' }));
      const headers = slackSigned(body, { secret: 'the older one' });
      expect(await post(`slack/${slack}`, body, headers)).toMatchObject({ status: 200 });
      expect(vault.seen.filter((what) => what === 'asked for webhook secrets')).toHaveLength(1);
      const signals = await world.signalsOf('slack', slack);
      const by = (secretVersion: number) => ({ verified: { scheme: 'slack_v0', secretVersion } });
      expect(signals).toEqual(expect.arrayContaining([expect.objectContaining(by(1)), expect.objectContaining(by(2))]));
    });

    test('that cannot be had makes the sender come again', async () => {
      vault.releaseFault = new PosternError('vault.database_unavailable', 'Not now.');
      expect(told(await toSlack(revoked()))).toMatchObject({ status: 503 });
      vault.releaseFault = undefined;
      expect(await toSlack(revoked())).toMatchObject({ status: 200 });
    });
  });

  describe('what is not verified', () => {
    const body = JSON.stringify(revoked());
    const wrong = () => slackSigned(body, { secret: 'a guess' });

    test.each<[string, () => { path?: string; body?: string; headers?: Record<string, string> }]>([
      ['another secret', () => ({})],
      ['no signature', () => ({ headers: { 'content-type': 'application/json' } })],
      ['an old one', () => ({ headers: slackSigned(body, { sentS: nowS() - 301 }) })],
      ['one of the future', () => ({ headers: slackSigned(body, { sentS: nowS() + 302 }) })],
      ['another body', () => ({ body: `${body} `, headers: slackSigned(body) })],
      ['a body that was cut', () => ({ body: body.slice(0, -1), headers: slackSigned(body) })],
      ['no body', () => ({ body: '', headers: wrong() })],
      ['another content type', () => ({ headers: { ...wrong(), 'content-type': 'text/xml' } })],
      ['no JSON', () => ({ body: '{{{', headers: wrong() })],
      ['a bomb', () => ({ body: '['.repeat(100_000), headers: wrong() })],
      ['a registration there is not', () => ({ path: `slack/${newId('registration')}`, headers: slackSigned(body) })],
      ['an id that is none', () => ({ path: 'slack/..%2f..%2fadmin', headers: slackSigned(body) })],
      ['another provider’s path', () => ({ path: `stripe/${slack}`, headers: slackSigned(body) })],
      ['a provider there is not', () => ({ path: `nobody/${slack}`, headers: slackSigned(body) })],
      ['a provider without webhooks', () => ({ path: `google/${slack}`, headers: slackSigned(body) })],
      ['a name of a prototype', () => ({ path: `__proto__/${slack}`, headers: slackSigned(body) })],
    ])('%s: the same answer, and nothing is stored', async (_title, make) => {
      const { path = `slack/${slack}`, body: sent = body, headers = wrong() } = make();
      const expected = told(await post(`slack/${slack}`, body, wrong()));
      expect(expected).toMatchObject(notVerified);
      expect(told(await post(path, sent, headers))).toEqual(expected);
      expect(await world.signalsOf('slack', slack)).toEqual([]);
    });

    test('a flood is counted only, and drops nothing that is verified', async () => {
      const answers = await Promise.all(Array.from({ length: 60 }, () => post(`slack/${slack}`, body, wrong())));
      const statuses = new Set(answers.map(({ status }) => status));
      expect(statuses).toEqual(new Set([401, 429]));
      const [limited] = answers.filter(({ status }) => status === 429);
      expect(Number(limited?.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(await toSlack(revoked())).toMatchObject({ status: 200 });
      expect(vault.seen.filter((what) => what === 'asked for webhook secrets').length).toBeLessThan(30);
    });

    test('keeps nobody from being known who was registered just now', async () => {
      const strangers = Array.from({ length: 20 }, () => post(`slack/${newId('registration')}`, body, wrong()));
      for (let n = 0; n < 5; n += 1) {
        slack = await world.newRegistration(party, 'slack');
        vault.webhookSecrets.set(slack, [signingSecret]);
        expect(await toSlack(revoked())).toMatchObject({ status: 200 });
      }
      await Promise.all(strangers);
    });

    test('says the same of a path where nobody is', async () => {
      const nowhere = `slack/${newId('registration')}`;
      const answers = await Promise.all(Array.from({ length: 60 }, () => post(nowhere, body, wrong())));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401, 429]));
    });
  });

  describe('what is signed and still cannot be taken', () => {
    test('another content type', async () => {
      expect(told(await toSlack(revoked(), { 'content-type': 'text/plain' }))).toMatchObject({ status: 415 });
    });

    test.each([
      ['no JSON', '{"type":'],
      ['a bomb', `${'['.repeat(50_000)}${']'.repeat(50_000)}`],
      ['a bomb behind an escape', `{"a":"\\"","b":${'{"c":'.repeat(5_000)}1${'}'.repeat(5_000)}}`],
    ])('%s', async (_title, body) => {
      const before = counted('slack', 'malformed');
      expect(told(await toSlack(body))).toMatchObject({ status: 400, code: 'request.malformed' });
      expect(counted('slack', 'malformed')).toBe(before + 1);
    });

    test('bytes that are no UTF-8', async () => {
      const bytes = new Uint8Array([0x22, 0xff, 0x22]);
      const digest = createHmac('sha256', signingSecret).update(`v0:${nowS()}:`).update(bytes).digest('hex');
      const headers = { ...slackSigned(''), 'x-slack-signature': `v0=${digest}` };
      expect(told(await post(`slack/${slack}`, bytes, headers))).toMatchObject({ status: 400 });
    });
  });

  describe('the body', () => {
    /** Speaks HTTP by hand; resolves with the first line of the answer. */
    const byHand = async (headers: string[], write: (send: (text: string) => void) => void): Promise<string> => {
      const { port, hostname } = new URL(service.httpUrl);
      const socket = connect(Number(port), hostname);
      const head = [`POST /webhooks/slack/${slack} HTTP/1.1`, 'host: x', 'content-type: application/json', ...headers];
      socket.write(`${head.join('\r\n')}\r\n\r\n`);
      write((text) => void socket.write(text));
      socket.on('error', () => undefined);
      let answer = '';
      for await (const chunk of socket) {
        answer += String(chunk);
        if (answer.includes('\r\n')) break;
      }
      socket.destroy();
      return answer.split('\r\n', 1)[0] ?? '';
    };

    test('that is announced as too large is not even read', async () => {
      const before = counted('unknown', 'too_large');
      const answer = await byHand([`content-length: ${limits.webhookBytesMax + 1}`], () => undefined);
      expect(answer).toBe('HTTP/1.1 413 Payload Too Large');
      expect(counted('unknown', 'too_large')).toBe(before + 1);
    });

    test('that turns out too large is refused on the way', async () => {
      const chunk = 'x'.repeat(64 * 1024);
      const answer = await byHand(['transfer-encoding: chunked'], (send) => {
        for (let sent = 0; sent <= limits.webhookBytesMax; sent += chunk.length) {
          send(`${chunk.length.toString(16)}\r\n${chunk}\r\n`);
        }
      });
      expect(answer).toBe('HTTP/1.1 413 Payload Too Large');
    });

    test('that drips is not waited for', async () => {
      const before = counted('unknown', 'too_slow');
      expect(await byHand(['content-length: 100'], (send) => send('{'))).toBe('HTTP/1.1 408 Request Timeout');
      expect(counted('unknown', 'too_slow')).toBe(before + 1);
    }, 30_000);

    test('as large as may be is taken', async () => {
      const room = limits.webhookBytesMax - Buffer.byteLength(JSON.stringify(revoked({ padding: '' })));
      expect(await toSlack(revoked({ padding: 'x'.repeat(room) }))).toMatchObject({ status: 200 });
    });
  });

  test('no log line holds a secret, a token or a body', () => {
    const log = lines.join('');
    for (const secret of [signingSecret, 'the verification token', 'tokens_revoked","tokens', 'a guess']) {
      expect(log).not.toContain(secret);
    }
  });
});
