import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { generateSigningKey, isWitnessed, noteVerifierKey, parseWitness, witnessVerifierKey } from '@postern/crypto';
import { CheckpointKeeper, CheckpointReader, MemoryEventLog } from '@postern/event-log';
import { guardedFetch, type GuardedFetch } from '@postern/provider-client';
import { Clock } from '@postern/service';
import { startWitness, waitFor } from '@postern/testing';

import { describeWithGoBinary } from '../../../../libs/crypto/src/spec-support/go-program.ts';
import { CheckpointFiles } from '../checkpoints/checkpoint-files.ts';
import { CosignedCheckpoints } from './cosigned-checkpoints.ts';
import { WitnessFeed } from './witness-feed.ts';
import { witnessesIn, type WitnessPlace } from './witness-list.ts';

const stream = 'admin';
const key = generateSigningKey();
const trust = { name: 'log.example/spec', keys: [key.publicJwk] };
const origin = `${trust.name}/ADMIN`;
const reader = new CheckpointReader(trust, stream);
const folder = mkdtempSync(join(tmpdir(), 'postern-witnesses-'));
const timeoutMs = 60_000;

/** Waits a turn instead of seconds, and remembers for how long it was asked to. */
class QuickClock extends Clock {
  readonly slept: number[] = [];
  override random(): number {
    return 0;
  }
  override async sleep(ms: number, options?: { readonly signal?: AbortSignal }): Promise<void> {
    this.slept.push(ms);
    await super.sleep(5, options);
  }
}

/** A log whose checkpoints its own key signs. */
class SpecLog {
  readonly admin = new MemoryEventLog();
  readonly checkpoints = new MemoryEventLog();
  #size = 0;

  async grow(by: number, words = 'message'): Promise<number> {
    for (let n = 0; n < by; n += 1) {
      const payload = Buffer.from(`${words} ${this.#size}`);
      const subject = `admin.t.a.${this.#size}`;
      await this.admin.append({ subject, payload, headers: {}, messageId: subject, expectedPosition: 0 });
      this.#size += 1;
    }
    const keys = [key.privateJwk];
    await new CheckpointKeeper({ stream, log: this.admin, checkpoints: this.checkpoints, trust, keys }).round();
    return this.#size;
  }
}

interface Fed {
  readonly feed: WitnessFeed;
  readonly clock: QuickClock;
  /** What the witness made of what it was shown. */
  readonly shown: string[];
  readonly cosigned: { size: number; note: string }[];
}

const feeds: WitnessFeed[] = [];
afterAll(async () => {
  await Promise.all(feeds.map((feed) => feed.stop()));
  rmSync(folder, { recursive: true, force: true });
});

function fed(
  log: SpecLog,
  witness: WitnessPlace,
  more: { keep?: CosignedCheckpoints; fetch?: GuardedFetch } = {},
): Fed {
  const clock = new QuickClock();
  const [shown, cosigned]: [string[], Fed['cosigned']] = [[], []];
  const feed = new WitnessFeed({
    witness,
    reader,
    clock,
    checkpoints: log.checkpoints,
    fetch: more.fetch ?? guardedFetch({ allowLoopback: true }),
    onCosigned: (checkpoint, line) => {
      cosigned.push({ size: checkpoint.size, note: checkpoint.note + line });
      more.keep?.add(checkpoint, witness.name, line);
    },
    onShown: (outcome) => void shown.push(outcome),
    onError: (error) => void shown.push(`error: ${String(error)}`),
  });
  feeds.push(feed);
  return { feed, clock, shown, cosigned };
}

async function cosigns({ feed, cosigned, shown }: Fed, size: number): Promise<void> {
  feed.wake();
  await waitFor(() => cosigned.at(-1)?.size === size, { timeoutMs, describe: () => `${size}: ${shown.join()}` });
}

const becomes = async ({ feed, shown }: Fed, outcome: string): Promise<void> => {
  feed.wake();
  await waitFor(() => shown.includes(outcome), { timeoutMs, describe: () => shown.join() });
};

/** What holds for each witness, whoever wrote it. */
function anyWitness(start: () => Promise<WitnessPlace>): void {
  test('cosigns what continues all that it has seen, in one request however far behind it is', async () => {
    const [log, witness] = [new SpecLog(), await start()];
    const one = fed(log, witness);
    await cosigns(one, await log.grow(3));
    let size = 3;
    for (const by of [1, 4, 2, 9, 1, 30]) size = await log.grow(by);
    await cosigns(one, size);
    expect(one.shown).toEqual(['cosigned', 'cosigned']);
    expect(one.feed.behindMs()).toBe(0);
    const last = one.cosigned.at(-1)?.note ?? '';
    expect(isWitnessed(last, { witnesses: [witness], quorum: 1 })).toBe(true);
    expect(reader.note(last)?.size).toBe(size);
  });

  test('is asked what it has by whoever does not know: after a restart, and where another process was faster', async () => {
    const [log, witness] = [new SpecLog(), await start()];
    await cosigns(fed(log, witness), await log.grow(5));
    const again = fed(log, witness);
    await cosigns(again, 5);
    expect(again.shown).toEqual(['conflict', 'cosigned']);
    const size = await log.grow(6);
    await cosigns(fed(log, witness), size);
    // This one does not know of it.
    await cosigns(again, size);
    expect(again.shown).toEqual(['conflict', 'cosigned', 'conflict', 'cosigned']);
  });

  test('cosigns no second history of the log, though its own key has signed it, and no older backup', async () => {
    const [log, other, witness] = [new SpecLog(), new SpecLog(), await start()];
    await cosigns(fed(log, witness), await log.grow(7));
    await other.grow(7, 'another');
    const forked = fed(other, witness);
    await becomes(forked, 'contradicted');
    await other.grow(2, 'another');
    forked.shown.length = 0;
    await becomes(forked, 'contradicted');
    const backup = new SpecLog();
    await backup.grow(4);
    const restored = fed(backup, witness);
    await becomes(restored, 'contradicted');
    await backup.grow(9);
    // It has gone on by now, and what the witness has is none of its checkpoints.
    await becomes(restored, 'no_proof');
    expect([forked.cosigned, restored.cosigned]).toEqual([[], []]);
    expect(restored.feed.behindMs()).toBeGreaterThan(0);
  });
}

describe('a witness of our own', () => {
  const closing: (() => Promise<void>)[] = [];
  afterAll(async () => await Promise.all(closing.map((close) => close())));
  anyWitness(async () => {
    const witness = await startWitness('witness.example/ours', [{ origin, keys: trust.keys }]);
    closing.push(() => witness.close());
    return witness;
  });
});

describeWithGoBinary(
  'the witness of github.com/transparency-dev',
  new URL('../../fixtures/witness/', import.meta.url),
  (binary) => {
    const closing: (() => Promise<unknown>)[] = [];
    afterAll(async () => await Promise.all(closing.map((close) => close())));
    const start = async (name = 'witness.example/theirs'): Promise<WitnessPlace> => {
      const child = spawn(binary, [name, noteVerifierKey(origin, key.publicJwk)], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      closing.push(async () => {
        const exit = once(child, 'exit');
        child.stdin.end();
        await exit;
      });
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      const [url, verifierKey] = [await lines.next(), await lines.next()].map(({ value }) => String(value));
      return { ...parseWitness(verifierKey ?? ''), url: url ?? '' };
    };
    anyWitness(start);

    test('stands under a checkpoint beside another one, and a file is there once both do', async () => {
      const log = new SpecLog();
      const dir = join(folder, 'both');
      const options = { dir, name: 'ADMIN', open: (note: string) => reader.note(note), filesMax: 2 };
      const keep = new CosignedCheckpoints(new CheckpointFiles({ ...options, extension: 'cosigned' }), 2);
      const ours = await startWitness('witness.example/ours', [{ origin, keys: trust.keys }]);
      closing.push(() => ours.close());
      const theirs = await start();
      const [one, two] = [fed(log, ours, { keep }), fed(log, theirs, { keep })];
      await cosigns(one, await log.grow(3));
      expect(() => readdirSync(dir)).toThrow('ENOENT');
      await cosigns(two, 3);
      for (let size = 4; size < 8; size += 1) {
        await log.grow(1);
        await cosigns(one, size);
        await cosigns(two, size);
      }
      const policy = { witnesses: [ours, theirs], quorum: 2 };
      const newest = readFileSync(join(dir, 'ADMIN.cosigned'), 'utf8');
      expect([reader.note(newest)?.size, isWitnessed(newest, policy)]).toEqual([7, true]);
      expect(readdirSync(join(dir, 'ADMIN')).toSorted()).toEqual(['6.cosigned', '7.cosigned']);
    });
  },
);

test('a witness that does not answer, or does not know us, is shown it again, at growing distances', async () => {
  const [log, witness] = [new SpecLog(), await startWitness('witness.example/late', [{ origin, keys: trust.keys }])];
  const real = guardedFetch({ allowLoopback: true });
  const answers = [503, 429, 404, 500, 418];
  const one = fed(log, witness, {
    fetch: async (url, init) => {
      const status = answers.shift();
      return status === undefined ? await real(url, init) : new Response('', { status });
    },
  });
  await cosigns(one, await log.grow(2));
  const unanswered = 'unanswered';
  expect(one.shown).toEqual([unanswered, unanswered, 'refused', unanswered, unanswered, 'cosigned']);
  expect(one.clock.slept).toEqual([2_000, 4_000, 8_000, 16_000, 32_000]);
  expect(one.feed.behindMs()).toBe(0);
  await witness.close();
  await log.grow(1);
  await becomes(one, unanswered);
  expect(one.feed.behindMs()).toBeGreaterThan(0);
});

test('what a witness’s name and another key have signed is not kept', async () => {
  const log = new SpecLog();
  const witness = await startWitness('witness.example/one', [{ origin, keys: trust.keys }]);
  const one = fed(log, { ...witness, key: generateSigningKey().publicJwk });
  await log.grow(2);
  await becomes(one, 'not_its_own');
  expect(one.cosigned).toEqual([]);
  await one.feed.stop();
  await witness.close();
});

describe('a list of witnesses', () => {
  const one = witnessVerifierKey({ name: 'w.example/one', key: generateSigningKey().publicJwk });
  const two = witnessVerifierKey({ name: 'w.example/two', key: generateSigningKey().publicJwk });

  test('holds keys and where they are', () => {
    const read = witnessesIn(`${one} https://w.example/one/,\n ${two}  http://127.0.0.1:9`);
    expect(read.map(({ name, url }) => [name, url])).toEqual([
      ['w.example/one', 'https://w.example/one'],
      ['w.example/two', 'http://127.0.0.1:9'],
    ]);
    expect([witnessesIn(undefined), witnessesIn(' , ')]).toEqual([[], []]);
  });

  test('of another shape is refused in words', () => {
    const wrong: [string, string][] = [
      [one, 'an https URL'],
      [`${one} http://w.example`, 'an https URL'],
      [`${one} https://w.example more`, 'an https URL'],
      [`w.example/one https://w.example`, 'no verifier key of a witness'],
      [`${one} https://a.example, ${one} https://b.example`, 'stands there twice'],
    ];
    for (const [list, words] of wrong) expect(() => witnessesIn(list)).toThrow(words);
  });
});
