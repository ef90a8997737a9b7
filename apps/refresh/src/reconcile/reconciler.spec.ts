import { EventEmitter, once } from 'node:events';

import { newId, PosternError } from '@postern/contracts';
import type { BusStatus } from '@postern/nats';
import { Clock, Metrics } from '@postern/service';

import { Reconciler } from './reconciler.ts';
import { SurveyFindings } from './survey-findings.ts';
import type { SurveyOptions } from './survey.ts';

/** A reconciler whose surveys end when they are told to. */
function reconciler() {
  const surveys: PromiseWithResolvers<SurveyFindings>[] = [];
  const survey = {
    run: () => {
      surveys.push(Promise.withResolvers());
      return surveys.at(-1)?.promise;
    },
  };
  const logger = { debug: () => undefined, warn: () => undefined };
  const parts = [{}, survey, {}, {}, {}, new Clock(), { instanceId: 'one' }, logger, new Metrics()];
  const made = new Reconciler(...(parts as unknown as ConstructorParameters<typeof Reconciler>));
  const end = () => {
    const findings = new SurveyFindings(Date.now());
    findings.connections = surveys.length;
    for (const { resolve } of surveys) resolve(findings);
  };
  return { made, surveys, end };
}

test('who asks how refreshing goes while the log is compared waits for that, and begins nothing beside it', async () => {
  const { made, surveys, end } = reconciler();
  const asked = [made.status(), made.status(), made.status()];
  end();
  expect((await Promise.all(asked)).map(({ connections }) => connections)).toEqual([1, 1, 1]);
  expect(surveys).toHaveLength(1);
});

test('reconciling is waited for as well, and looks for itself though somebody asks', async () => {
  const { made, surveys, end } = reconciler();
  const first = made.status();
  const reconciled = made.reconcile();
  const second = made.status();
  expect(surveys).toHaveLength(2);
  end();
  await Promise.all([first, second, reconciled]);
  expect(surveys).toHaveLength(2);
});

test('a comparison that fails is begun again within seconds, less and less often, and then as rarely as any other', async () => {
  const pauses: number[] = [];
  const stopping = Promise.withResolvers<void>();
  let surveys = 0;
  class HurriedClock extends Clock {
    override random = () => 0.5;
    override monotonicMs = () => 0;
    override sleep = async (ms: number, { signal }: { readonly signal?: AbortSignal } = {}) => {
      pauses.push(ms);
      if (pauses.length > 10) stopping.resolve();
      if (pauses.length > 10) await new Promise((_, reject) => signal?.addEventListener('abort', reject));
    };
  }
  const survey = {
    run: async () => {
      surveys += 1;
      if (surveys !== 8) throw new PosternError('log.unavailable', 'The log does not answer.');
      return new SurveyFindings(0);
    },
  };
  const logger = { debug: () => undefined, warn: () => undefined, error: () => undefined };
  const parts = [
    { reconcileIntervalMs: 60_000, reconcileAgainMs: 5_000 },
    survey,
    {},
    {},
    { onStatus: () => () => undefined },
    new HurriedClock(),
    { instanceId: 'one' },
    logger,
    new Metrics(),
  ];
  const made = new Reconciler(...(parts as unknown as ConstructorParameters<typeof Reconciler>));
  made.onServiceReady();
  await stopping.promise;
  await made.onApplicationShutdown();
  expect(pauses.slice(1)).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000, 60_000, 5_000, 10_000]);
});

test('after a reconnect the log is compared soon, but not all the time; and no longer once it is stopped', async () => {
  const sleeps = new EventEmitter();
  const nextSleep = async () => (await once(sleeps, 'begun')) as [number];
  let nowMs = 0;
  let takesMs = 0;
  class StandingClock extends Clock {
    override random = () => 0.5;
    override monotonicMs = () => nowMs;
    override sleep = async (ms: number, { signal }: { readonly signal?: AbortSignal } = {}) => {
      sleeps.emit('begun', ms);
      const ended = signal === undefined ? [] : [once(signal, 'abort')];
      await Promise.race([once(sleeps, 'end'), ...ended]);
      signal?.throwIfAborted();
    };
  }
  const listeners = new Set<(status: BusStatus) => void>();
  const bus = {
    onStatus: (listener: (status: BusStatus) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const tell = (type: 'disconnected' | 'reconnected') => {
    for (const listener of listeners) listener({ type });
  };
  const survey = {
    run: async () => {
      nowMs += takesMs;
      return new SurveyFindings(0);
    },
  };
  const logger = { debug: () => undefined, error: () => undefined };
  const config = { reconcileIntervalMs: 60_000, reconcileAgainMs: 5_000 };
  const parts = [config, survey, {}, {}, bus, new StandingClock(), { instanceId: 'one' }, logger, new Metrics()];
  const made = new Reconciler(...(parts as unknown as ConstructorParameters<typeof Reconciler>));
  const pauses: number[] = [];
  const pausing = async (act: () => unknown) => {
    const begun = nextSleep();
    act();
    pauses.push(...(await begun));
  };
  await pausing(() => made.onServiceReady());
  await pausing(() => sleeps.emit('end'));
  tell('disconnected');
  await pausing(() => tell('reconnected'));
  takesMs = 20_000;
  await pausing(() => sleeps.emit('end'));
  await pausing(() => tell('reconnected'));
  await made.onApplicationShutdown();
  expect({ pauses, listening: listeners.size }).toEqual({
    pauses: [1_000, 60_000, 11_000, 400_000, 20_000],
    listening: 0,
  });
});

test('what a lost worker bought is looked for, and a vault that does not answer stops no reconciling', async () => {
  const ref = { tenantId: newId('tenant'), id: newId('connection') };
  const survey = {
    run: async ({ mending }: SurveyOptions) => {
      for (let time = 0; time < 2; time += 1) await mending?.inDoubt(ref);
      return new SurveyFindings(0);
    },
  };
  const asked: unknown[] = [];
  const takeOver = {
    recover: async (of: unknown) => {
      asked.push(of);
      if (asked.length === 1) throw new PosternError('bus.timeout', 'The vault did not answer in time.');
      return true;
    },
  };
  const warnings: string[] = [];
  const logger = { debug: () => undefined, warn: (text: string) => warnings.push(text) };
  const parts = [{}, survey, {}, takeOver, {}, new Clock(), { instanceId: 'one' }, logger, new Metrics()];
  const made = new Reconciler(...(parts as unknown as ConstructorParameters<typeof Reconciler>));
  expect(await made.reconcile()).toBe(0);
  const connection = { tenantId: ref.tenantId, connectionId: ref.id };
  expect(asked).toEqual([connection, connection]);
  expect(warnings).toEqual(['nobody says what a lost worker bought']);
});
