import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { operations } from '@postern/contracts';
import { randomToken } from '@postern/crypto';
import { describeWithServer, temporaryDataDir } from '@postern/servers';

import { scanFolder, scanText, type Canaries } from '../spec-support/secret-scan.ts';
import { traceCollector } from '../spec-support/trace-collector.ts';
import { story } from './story.ts';
import { withWorld, type World } from './world.ts';

const wholeTimeoutMs = 240_000;
/** Every trace is kept, and sent at once. */
const telling = {
  OTEL_TRACES_SAMPLER: 'always_on',
  OTEL_BSP_SCHEDULE_DELAY: '200',
  OTEL_METRIC_EXPORT_INTERVAL: '1000',
};
/** What one trace shows: a lease and its record; a refresh from due to outcome; a webhook, the event, the refusal. */
const wholePaths = [
  ['gateway: POST /v1/connections/:id/token', 'vault: tokens.lease', 'vault: postern.lease.record'],
  [
    ...['refresh: process REFRESH', 'refresh: send CONNECTIONS', 'vault: vault.refresh_token.release'],
    ...['refresh: postern.provider.refresh', 'vault: vault.credentials.store'],
  ],
  [
    ...['revocation: POST /webhooks/:provider/:registration', 'revocation: send SIGNALS'],
    ...['revocation: process SIGNALS', 'revocation: send CONNECTIONS', 'vault: postern.connection.refused'],
  ],
];
/** And in it what caused what. */
const causes = [
  [
    ...['gateway: POST /v1/connections/:id/token', 'gateway: tokens.lease'],
    ...['vault: tokens.lease', 'vault: postern.lease.record'],
  ],
  [
    ...['refresh: process REFRESH', 'refresh: vault.refresh_token.release'],
    ...['vault: vault.refresh_token.release', 'vault: send CONNECTIONS'],
  ],
  [
    ...['revocation: POST /webhooks/:provider/:registration', 'revocation: process SIGNALS'],
    'vault: postern.connection.refused',
  ],
];
const told = [
  ...['postern.refresh.due_lag', 'postern.refresh.outcomes', 'postern.revocation.to_refusal', 'postern.feed.age'],
  ...['postern.operation.duration', 'postern.audit.lag', 'postern.signals', 'postern.refresh.breakers'],
  ...['postern.lease.outcomes', 'messaging.client.operation.duration'],
];
/** Attributes that are not ours, by the names of OpenTelemetry's semantic conventions (HTTP, RPC, messaging, database, errors). */
const conventional = [
  ...['http.request.method', 'http.response.status_code', 'http.route', 'rpc.system', 'rpc.service', 'rpc.method'],
  ...['messaging.system', 'messaging.operation.name', 'messaging.operation.type', 'messaging.destination.name'],
  ...['messaging.consumer.group.name', 'db.system.name', 'db.operation.name', 'error.type'],
];
/** Spans by the same: `GET route`, `send stream`, `process stream`, `operation system`; operations by their method. */
const spanNames = [
  /^(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) (\/\S*|\(none\))$/,
  /^(send|process) [A-Z]+$/,
  /^[a-z_]+ postgresql$/,
  /^postern(\.[a-z_]+)+$/,
];
const codePattern = /[?&]code=([^&]+)/;

interface Heard {
  readonly tokens: string[];
  readonly cookies: string[];
  readonly refusals: string[];
}

/** Remembers what the platform was told: tokens are canaries, bodies of refusals are places to look into. */
function listenToAnswers(world: World): Heard {
  const tokens: string[] = [];
  const cookies: string[] = [];
  const refusals: string[] = [];
  const original = globalThis.fetch;
  globalThis.fetch = async (...request) => {
    const answer = await original(...request);
    const url = String(request[0] instanceof Request ? request[0].url : request[0]);
    if (url.startsWith(world.stack.url)) {
      const text = await answer.clone().text();
      if (answer.status >= 400) refusals.push(text);
      const token = /"access_token":"([^"]+)"/.exec(text)?.[1];
      if (token !== undefined) tokens.push(token);
      for (const line of answer.headers.getSetCookie()) cookies.push(/^[^=]+=([^;]*)/.exec(line)?.[1] ?? '');
    }
    return answer;
  };
  return { tokens, cookies, refusals };
}

async function canariesOf(world: World, { tokens, cookies }: Heard, passphrase: string): Promise<Canaries> {
  const { tokenCalls, codeChallenges } = await world.acme.report();
  const urls = world.browser.history.map(({ url }) => url);
  const matches = (pattern: RegExp) => urls.flatMap((url) => pattern.exec(url)?.[1] ?? []).map(decodeURIComponent);
  const credsText = readFileSync(join(world.dataRoot, 'platform.creds'), 'utf8');
  return {
    literals: [
      ...[...new Set(tokens)].map((value) => ({ name: 'an access token', value })),
      ...matches(codePattern).map((value) => ({ name: 'a code', value })),
      ...cookies.filter(Boolean).map((value) => ({ name: 'a cookie', value })),
      { name: 'the passphrase', value: passphrase },
      { name: 'the client secret', value: world.acmeClientSecret.reveal() },
      { name: 'the platform’s client secret', value: world.platformSecret?.reveal() ?? '' },
      { name: 'the platform’s NATS seed', value: /\n(SU[A-Z2-7]+)\n/.exec(credsText)?.[1] ?? '' },
      ...keyServerCanaries(world),
    ],
    fingerprints: new Set(
      tokenCalls.flatMap(({ presentedRefreshToken: a, issuedRefreshToken: b }) =>
        [a, b].filter((one) => one !== undefined),
      ),
    ),
    // What was pushed stands in no URL.
    challenges: new Set(codeChallenges),
  };
}

/** Vault's own secrets, where there is a Vault. */
function keyServerCanaries({ dataRoot }: World): { name: string; value: string }[] {
  const path = join(dataRoot, 'data/vault-server/keys.json');
  if (!existsSync(path)) return [];
  const { unsealKey, rootToken, roles } = JSON.parse(readFileSync(path, 'utf8')) as {
    unsealKey: string;
    rootToken: string;
    roles: Record<string, { secretId: string }>;
  };
  return [
    { name: 'the unseal key', value: unsealKey },
    { name: 'the root token', value: rootToken },
    ...Object.values(roles).map(({ secretId }) => ({ name: 'a secret id', value: secretId })),
  ];
}

/** What the secrets of this story were wrapped by. */
function keyringInUse({ dataRoot }: World): string {
  const keyFile = join(dataRoot, 'data/keyring/keyring.key');
  if (!existsSync(keyFile)) return existsSync(join(dataRoot, 'data/vault-server/storage')) ? 'vault' : 'none';
  return readFileSync(keyFile, 'utf8').includes('argon2id') ? 'a file under a passphrase' : 'a file';
}

/** Files whose purpose is to hold a secret, all of mode 0600. */
const mayHold = (path: string) =>
  /^data\/(secrets|identities|keyring)\/|^data\/vault-server\/keys\.json$|^data\/operator\.json$|^data\/postgres\/password$|^platform\.creds$/.test(
    path,
  );

for (const [server, keyring] of [
  ['nats-server', 'local'],
  ['vault', 'vault'],
] as const) {
  await describeWithServer(server, `the whole story with --keyring ${keyring}`, () => {
    test(
      'leaves no secret in any store, log line, trace or refusal; a planted one is found',
      async () => {
        const collector = await traceCollector();
        const originalFetch = globalThis.fetch;
        const passphrase = randomToken(32);
        const elsewhere = temporaryDataDir('postern-passphrase-');
        const passphraseFile = join(elsewhere, 'passphrase');
        writeFileSync(passphraseFile, passphrase, { mode: 0o600 });
        if (keyring === 'local') process.env['POSTERN_KEYRING_PASSPHRASE_FILE'] = passphraseFile;
        process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = collector.url;
        for (const [name, value] of Object.entries(telling)) process.env[name] = value;
        process.env['POSTERN_LOG_LEVEL'] = 'trace';
        try {
          await withWorld(
            () => undefined,
            async (world) => {
              const heard = listenToAnswers(world);
              for (const step of story) await step.run(world);
              const canaries = await canariesOf(world, heard, passphrase);
              expect([canaries.literals.length > 8, canaries.fingerprints.size > 2, canaries.challenges.size]).toEqual([
                true,
                true,
                3,
              ]);
              expect(canaries.literals.filter(({ value }) => value.length < 8)).toEqual([]);

              expect(keyringInUse(world)).toBe(keyring === 'local' ? 'a file under a passphrase' : 'vault');

              const clean = scanFolder(world.dataRoot, canaries, mayHold);
              expect(clean.hits).toEqual([]);
              expect(heard.cookies.filter(Boolean).length).toBeGreaterThan(1);
              expect(clean.files).toBeGreaterThan(100);
              expect(heard.refusals.length).toBeGreaterThan(1);
              expect(heard.refusals.flatMap((text) => scanText('a refusal', text, canaries))).toEqual([]);
              expect(collector.received().length).toBeGreaterThan(10_000);
              expect(scanText('traces', collector.received(), canaries)).toEqual([]);
              for (const path of wholePaths) expect(collector.traces()).toContainEqual(expect.arrayContaining(path));
              expect(collector.paths()).toEqual(expect.arrayContaining(causes));
              expect([...collector.metrics()]).toEqual(expect.arrayContaining(told));
              const { spans, attributes } = collector.names();
              const foreign = [...attributes].filter((key) => !key.startsWith('postern.'));
              expect(foreign.length).toBeGreaterThan(conventional.length / 2);
              expect(conventional).toEqual(expect.arrayContaining(foreign));
              const methods = new Set(Object.values(operations).map(({ name }) => name));
              const unnamed = [...spans].filter(
                (name) => !methods.has(name) && !spanNames.some((one) => one.test(name)),
              );
              expect(unnamed).toEqual([]);

              const log = join(world.dataRoot, 'data/logs/vault.log');
              appendFileSync(log, `{"msg":"oops ${heard.tokens.at(-1)} ${passphrase}"}\n`);
              expect(scanFolder(world.dataRoot, canaries, mayHold).hits).toEqual([
                { place: log, what: 'an access token' },
                { place: log, what: 'the passphrase' },
              ]);
            },
            { keyring },
          );
        } finally {
          globalThis.fetch = originalFetch;
          delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
          for (const name of Object.keys(telling)) delete process.env[name];
          delete process.env['POSTERN_LOG_LEVEL'];
          delete process.env['POSTERN_KEYRING_PASSPHRASE_FILE'];
          rmSync(elsewhere, { recursive: true, force: true });
          collector.close();
        }
      },
      wholeTimeoutMs,
    );
  });
}
