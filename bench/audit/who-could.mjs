/**
 * `who_could` at moments of the past, by a real `audit`, in seconds.
 *
 * first_s      a page of 50, from the start of an audit that knows nothing: it replays the log
 * restarted_s  the same, from the start of one that starts beside what the one before it has kept
 * past_page_s  a page of 50 at a moment anywhere in the log that nobody has asked about yet, once it is up
 * past_all_s   every connection of the tenant at such a moment, page by page, as the command asks
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { auditService } from '@postern/app-audit';
import { administratorToken, isPosternError, operations } from '@postern/contracts';
import { callOperation } from '@postern/nats';
import { temporaryDataDir } from '@postern/servers';
import { startService } from '@postern/service';

import { median, round } from '../median.mjs';

const moments = 5;
const page = 200;

export async function benchWhoCould({ link, connect, trust, tenantId, commits, connections }, { result }, tell) {
  const folder = temporaryDataDir('postern-bench-audit-');
  const { servers, creds } = await link('audit');
  const file = (name, content) => {
    const path = join(folder, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  };
  const environment = {
    POSTERN_NATS_URL: servers,
    POSTERN_NATS_CREDS_FILE: file('audit.creds', creds),
    POSTERN_TRUST_FILE: file('trust.json', JSON.stringify(trust)),
    POSTERN_SNAPSHOT_DIR: join(folder, 'snapshots'),
    POSTERN_LOG_LEVEL: 'fatal',
  };
  const bus = await connect('administrator');
  const caller = { tenantId, platformId: administratorToken };
  const ask = async (request) => {
    for (;;) {
      try {
        return await callOperation(bus, operations.whoCould, caller, request, { timeoutMs: 60_000 });
      } catch (error) {
        if (!isPosternError(error) || error.row.retry !== 'later') throw error;
      }
    }
  };
  /** @returns how many seconds it took. */
  const askAll = async (at) => {
    const since = performance.now();
    let found = 0;
    for (let moment = at, after = 0; after !== null;) {
      const answer = await ask({ at: moment, after, limit: page });
      found += answer.connections.length;
      moment = answer.answered_at.moment;
      after = answer.next;
    }
    if (found === 0 || found > connections) throw new Error(`${found} of ${connections} connections`);
    return (performance.now() - since) / 1_000;
  };
  const places = Array.from({ length: moments }, (_, index) => String(Math.ceil((commits * (index + 1)) / moments)));
  const started = async () => {
    const since = performance.now();
    const audit = await startService(auditService, environment);
    const first = await ask({ at: places[0], limit: 50 });
    return { audit, seconds: (performance.now() - since) / 1_000, told: JSON.stringify(first) };
  };
  try {
    const first = await started();
    const times = { all: [], page: [] };
    for (const at of places) {
      const since = performance.now();
      await ask({ at, limit: 50 });
      times.page.push((performance.now() - since) / 1_000);
      times.all.push(await askAll(at));
    }
    await first.audit.stop();
    const again = await started();
    await again.audit.stop();
    if (again.told !== first.told) throw new Error('it answers otherwise once it has been started again');
    tell(`who_could: ${round(median(times.all), 2)} s`);
    result.who_could = {
      events: commits,
      connections,
      first_s: round(first.seconds, 2),
      restarted_s: round(again.seconds, 2),
      past_all_s: round(median(times.all), 2),
      past_page_s: round(median(times.page), 3),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
