import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { dataFolder } from '../data-folder/paths.ts';
import { writeSupervisorFile } from '../session/supervisor-file.ts';
import { pkceWarning } from '../providers/pkce.ts';
import { effectiveConfig } from './effective-config.ts';
import { alarmFindings, askService, serviceFinding, sumOf } from './services.ts';
import { pkceFindings, secretsFinding, switchFindings } from './unsafe.ts';

const answer = { app: 'vault', port: 7001, metrics: '' };

test('a service that is ready needs nothing, one that is not says why and where to look', () => {
  const ready = { ...answer, readiness: { ready: true, checks: { bus: 'ok' } } };
  expect(serviceFinding(ready, '/logs')).toMatchObject({ ok: true, mend: null });
  const stale = { bus: 'ok', connections: 'the feed is not proved fresh' };
  expect(serviceFinding({ ...answer, readiness: { ready: false, checks: stale } }, '/logs')).toEqual({
    what: 'vault',
    ok: false,
    found: 'not ready (connections: the feed is not proved fresh)',
    mend: 'docs/runbooks/feed-stale.md',
  });
  expect(serviceFinding({ ...answer, readiness: null }, '/logs')).toMatchObject({
    ok: false,
    mend: 'tail -n 50 /logs/vault.log',
  });
});

test('nobody who answers is an answer', async () => {
  expect(await askService('vault', 1)).toEqual({ app: 'vault', port: 1, readiness: null, metrics: '' });
});

test('a number that must be 0 and is not names its page', () => {
  const metrics = [
    '# HELP postern_audit_findings_total Messages',
    'postern_audit_findings_total{kind="foreign",stream="CONNECTIONS"} 2',
    'postern_audit_findings_total{kind="damaged",stream="ADMIN"} 1',
    'postern_audit_checkpoint_findings_total 0',
  ].join('\n');
  expect(sumOf(metrics, 'postern_audit_findings_total')).toBe(3);
  expect(alarmFindings({ ...answer, app: 'audit', readiness: null, metrics })).toEqual([
    expect.objectContaining({ found: expect.stringContaining('(3)'), mend: 'docs/runbooks/log-not-whole.md' }),
  ]);
});

test('a provider in use that is sent no code challenge is named with how that is known', () => {
  const fact = { value: 'none', evidence: 'observed' as const, note: 'it answers 400' };
  const acme = { id: 'acme', name: 'Acme', withoutPkce: true, facts: { code_challenge_method: fact } };
  const other = { ...acme, id: 'other', withoutPkce: false };
  expect(pkceFindings([acme, other])).toEqual([
    expect.objectContaining({ what: 'provider acme', ok: false, found: expect.stringContaining('it answers 400') }),
  ]);
  expect(pkceWarning(other)).toBeNull();
});

test('each switch that makes it less safe is named with what it allows', () => {
  const env = { POSTERN_ALLOW_LAZY_SYNC: 'true', POSTERN_ALLOW_PLAINTEXT_NATS: 'false' };
  expect(switchFindings(env)).toEqual([
    expect.objectContaining({ what: 'POSTERN_ALLOW_LAZY_SYNC', ok: false, mend: 'unset POSTERN_ALLOW_LAZY_SYNC' }),
  ]);
});

describe('of a data folder', () => {
  const root = mkdtempSync(join(tmpdir(), 'postern-doctor-'));
  afterAll(() => rmSync(root, { recursive: true, force: true }));
  const supervisor = {
    ...{ pid: 1, natsUrl: 'nats://127.0.0.1:4999', natsMonitorUrl: 'http://127.0.0.1:1', tenantId: 'ten_1' },
    ...{ publicUrl: 'http://127.0.0.1:7420', services: { vault: 7001 } },
  };

  test('a secret that others can read is named', () => {
    const path = join(root, 'secrets', 'token');
    mkdirSync(join(root, 'secrets'));
    writeFileSync(path, 'hunter2', { mode: 0o600 });
    expect(secretsFinding({ root })).toMatchObject({ ok: true });
    chmodSync(path, 0o644);
    expect(secretsFinding({ root })).toMatchObject({ ok: false, mend: `chmod 600 ${path}` });
    chmodSync(path, 0o600);
  });

  test('the configuration in force says where each value comes from, and no secret', async () => {
    const folder = await dataFolder(root);
    writeSupervisorFile(folder, supervisor);
    writeFileSync(folder.secretFile('database-url'), 'postgres://user:hunter2@127.0.0.1/db', { mode: 0o600 });
    process.env['OTEL_EXPORTER_OTLP_HEADERS'] = 'authorization=hunter2';
    process.env['OTEL_EXPORTER_OTLP_ENDPOINT'] = 'http://user:hunter2@127.0.0.1:4318';
    const settings = await effectiveConfig('vault', folder).finally(() => {
      delete process.env['OTEL_EXPORTER_OTLP_HEADERS'];
      delete process.env['OTEL_EXPORTER_OTLP_ENDPOINT'];
    });
    const row = (variable: string) => settings.find((setting) => setting.variable === variable);
    expect(row('POSTERN_NATS_URL')).toMatchObject({ value: supervisor.natsUrl, source: 'environment, by postern up' });
    expect(row('POSTERN_LOG_LEVEL')).toMatchObject({ value: 'info', source: 'default' });
    expect(row('POSTERN_DATABASE_URL_FILE')).toMatchObject({
      value: folder.secretFile('database-url'),
      source: 'file, by postern up',
    });
    expect(row('OTEL_EXPORTER_OTLP_HEADERS')).toMatchObject({ value: '[secret]' });
    expect(JSON.stringify(settings)).not.toContain('hunter2');
  });

  test('an app there is not is refused with those there are', async () => {
    await expect(effectiveConfig('valut', await dataFolder(root))).rejects.toMatchObject({ code: 'request.malformed' });
  });
});
