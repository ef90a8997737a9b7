import { setImmediate as turn } from 'node:timers/promises';

import { PosternError } from '@postern/contracts';
import fc from 'fast-check';

import { collect } from './contract/harness.ts';
import { eventLogContract } from './contract/event-log-contract.ts';
import type { BoundedReadRequest, EventLog, StoredMessage } from './event-log.ts';
import { MemoryEventLog } from './memory-event-log.ts';
import { readTogether } from './read-together.ts';

eventLogContract('a log that is read together', () => {
  const memory = new MemoryEventLog();
  const log = readTogether(memory, { heldMessagesMax: 3 });
  return Promise.resolve({
    log,
    otherLog: readTogether(memory),
    put: (message) => Promise.resolve(memory.put(message)),
    loseNextAcknowledgement: () => memory.injectFaults('lose_acknowledgement'),
    stopServing: () => Promise.resolve(memory.stopServing()),
    resumeServing: () => Promise.resolve(memory.resumeServing()),
    close: () => Promise.resolve(),
  });
});

const filter = 'connection.>';
/** Waits for everybody. */
const patient = { heldBackMsMax: Infinity };

/** What was asked of a log, and what it sent. */
class WatchedLog extends MemoryEventLog {
  readings = 0;
  open = 0;
  sent = 0;
  brokenAfter = Infinity;
  /** Waited for before a message is sent, and before a reading is closed. */
  onSend = async (_position: number): Promise<void> => {};
  onClose = async (): Promise<void> => {};

  constructor(messages: number) {
    super();
    for (let index = 0; index < messages; index += 1) this.store();
  }

  store(): void {
    this.put({ subject: 'connection.1.ten.con', payload: Uint8Array.of(1, 2, 3, 4), headers: {} });
  }

  override async *read(request: BoundedReadRequest): AsyncIterable<StoredMessage> {
    this.readings += 1;
    this.open += 1;
    try {
      for await (const message of super.read(request)) {
        if (message.position > this.brokenAfter) throw new PosternError('log.unavailable', 'The log broke.');
        await this.onSend(message.position);
        this.sent += 1;
        yield message;
      }
    } finally {
      await this.onClose();
      this.open -= 1;
    }
  }
}

/** One who takes as many as he is told to. */
class Reader {
  readonly positions: number[] = [];
  readonly #iterator: AsyncIterator<StoredMessage>;

  constructor(log: EventLog, range: Partial<BoundedReadRequest> = {}) {
    this.#iterator = log.read({ filter, ...range })[Symbol.asyncIterator]();
  }

  /** @returns whether there was as much. */
  async take(messages = Infinity): Promise<boolean> {
    for (let taken = 0; taken < messages; taken += 1) {
      const { done, value } = await this.#iterator.next();
      if (done === true) return false;
      this.positions.push(value.position);
    }
    return true;
  }

  async close(): Promise<void> {
    await this.#iterator.return?.();
  }
}

const range = (from: number, to: number) =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index);
/** As much as comes about without anybody's doing; the log in memory waits for nothing. */
const settled = async () => {
  for (let turns = 0; turns < 20; turns += 1) await turn();
};

test('two who begin at the same place are one reading of the log, and each has it whole and in order', async () => {
  const watched = new WatchedLog(1_000);
  const log = readTogether(watched, patient);
  const [one, other] = [new Reader(log), new Reader(log)];
  await Promise.all([one.take(), other.take()]);
  expect([one.positions, other.positions]).toEqual([range(1, 1_000), range(1, 1_000)]);
  expect(watched).toMatchObject({ readings: 1, sent: 1_000, open: 0 });
});

test('whoever begins behind joins where what he needs is still held, and else reads alone until he meets the other', async () => {
  const watched = new WatchedLog(1_000);
  const log = readTogether(watched, { ...patient, heldMessagesMax: 200 });
  const ahead = new Reader(log);
  await ahead.take(600);
  const near = new Reader(log, { fromPosition: 550 });
  await near.take(10);
  expect(watched.readings).toBe(1);
  const far = new Reader(log, { fromPosition: 101 });
  await far.take(10);
  expect(watched.readings).toBe(2);
  await far.take(500);
  await Promise.all([ahead, near, far].map((reader) => reader.take()));
  expect([ahead, near, far].map(({ positions }) => positions)).toEqual([1, 550, 101].map((from) => range(from, 1_000)));
  // From 101 to where the others' began to be held, and what is taken at once.
  expect(watched.sent).toBeLessThan(1_000 + 450);
  expect(watched).toMatchObject({ readings: 2, open: 0 });
});

test('the slower one holds the faster back by as many messages as are held', async () => {
  const watched = new WatchedLog(1_000);
  const log = readTogether(watched, { ...patient, heldMessagesMax: 100 });
  const [slow, fast] = [new Reader(log), new Reader(log)];
  await slow.take(7);
  const whole = fast.take();
  await settled();
  expect(fast.positions).toEqual(range(1, 107));
  expect(watched.sent).toBe(107);
  await slow.take(50);
  await settled();
  expect(fast.positions).toEqual(range(1, 157));
  await Promise.all([slow.take(), whole]);
  expect([slow.positions, fast.positions]).toEqual([range(1, 1_000), range(1, 1_000)]);
  expect(watched).toMatchObject({ readings: 1, open: 0 });
});

test('what is held is bounded in bytes too', async () => {
  const watched = new WatchedLog(100);
  const log = readTogether(watched, { ...patient, heldBytesMax: 40 });
  const [slow, fast] = [new Reader(log), new Reader(log)];
  await slow.take(1);
  const whole = fast.take();
  await settled();
  expect(fast.positions).toEqual(range(1, 11));
  await Promise.all([slow.take(), whole]);
  expect([slow.positions, fast.positions]).toEqual([range(1, 100), range(1, 100)]);
});

/** One far ahead; and another who has met him at the oldest message that is held, and whose own reading is still being closed. */
async function meeting(heldBackMsMax: number) {
  const watched = new WatchedLog(1_000);
  const [closed, sent] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const log = readTogether(watched, { heldBackMsMax, heldMessagesMax: 100 });
  const ahead = new Reader(log);
  await ahead.take(200);
  const oldest = watched.sent - 99;
  watched.onSend = async (position) => (position === oldest + 100 ? await sent.promise : undefined);
  watched.onClose = () => closed.promise;
  const whole = ahead.take();
  await settled();
  const behind = new Reader(log, { fromPosition: oldest - 64 });
  const met = behind.take();
  await settled();
  expect([behind.positions.at(-1), watched.readings]).toEqual([oldest - 1, 2]);
  sent.resolve();
  await settled();
  const reached = ahead.positions.length;
  closed.resolve();
  await Promise.all([whole, met]);
  expect([ahead.positions, behind.positions]).toEqual([range(1, 1_000), range(oldest - 64, 1_000)]);
  return { isFree: reached > oldest + 100, open: watched.open };
}

test('whoever comes while one more is on its way has all that was held', async () => {
  expect(await meeting(Infinity)).toEqual({ isFree: false, open: 0 });
});

test('whoever is left behind at the moment he comes begins again where he stands', async () => {
  expect(await meeting(0)).toEqual({ isFree: true, open: 0 });
});

test('whoever stops is left behind when patience is over, and reads on alone from where he stood', async () => {
  const watched = new WatchedLog(1_000);
  const log = readTogether(watched, { heldBackMsMax: 5, heldMessagesMax: 100 });
  const [stopped, other] = [new Reader(log), new Reader(log)];
  await stopped.take(7);
  await other.take();
  expect(other.positions).toEqual(range(1, 1_000));
  expect(watched).toMatchObject({ readings: 1, open: 0 });
  await stopped.take();
  expect(stopped.positions).toEqual(range(1, 1_000));
  expect(watched).toMatchObject({ readings: 2, sent: 1_993, open: 0 });
});

test('patience is for the whole of a reading: once it is over nobody is waited for again', async () => {
  const watched = new WatchedLog(1_000);
  const log = readTogether(watched, { heldBackMsMax: 0, heldMessagesMax: 100 });
  const [stopped, other] = [new Reader(log), new Reader(log)];
  await stopped.take(7);
  await other.take(200);
  const next = new Reader(log, { fromPosition: 150 });
  await next.take(1);
  expect(watched.readings).toBe(1);
  await other.take();
  expect(other.positions).toEqual(range(1, 1_000));
});

test('whoever is closed, or fails, frees those who wait for him, and takes nothing from them', async () => {
  const watched = new WatchedLog(1_000);
  const log = readTogether(watched, { ...patient, heldMessagesMax: 100 });
  const failing = (async () => {
    for await (const { position } of log.read({ filter })) if (position === 7) throw new Error('it cannot go on');
  })();
  const [slow, fast] = [new Reader(log), new Reader(log)];
  await slow.take(7);
  const whole = fast.take();
  await expect(failing).rejects.toThrow('it cannot go on');
  await settled();
  expect(fast.positions).toEqual(range(1, 107));
  await slow.close();
  await whole;
  expect(fast.positions).toEqual(range(1, 1_000));
  expect(await slow.take(1)).toBe(false);
  expect(watched).toMatchObject({ readings: 1, open: 0 });
});

test('the log is read no further once everybody has left', async () => {
  const watched = new WatchedLog(1_000);
  const log = readTogether(watched);
  const [one, other] = [new Reader(log), new Reader(log)];
  await Promise.all([one.take(10), other.take(20)]);
  await one.close();
  expect(watched.open).toBe(1);
  await other.close();
  const { sent, open } = watched;
  await settled();
  expect([watched.sent, open]).toEqual([sent, 0]);
  expect(sent).toBeLessThan(100);
});

test('where the log fails all who follow hear it, after what came before; who comes later reads anew', async () => {
  const watched = new WatchedLog(1_000);
  const log = readTogether(watched, patient);
  watched.brokenAfter = 300;
  const [one, other] = [new Reader(log), new Reader(log)];
  const failed = { status: 'rejected', reason: { code: 'log.unavailable' } };
  expect(await Promise.allSettled([one.take(), other.take()])).toMatchObject([failed, failed]);
  expect([one.positions, other.positions]).toEqual([range(1, 300), range(1, 300)]);
  expect(watched).toMatchObject({ readings: 1, open: 0 });
  watched.brokenAfter = Infinity;
  const later = new Reader(log, { fromPosition: 301 });
  await later.take();
  expect(later.positions).toEqual(range(301, 1_000));
});

test('each reads to its own end: the one it asked for, or the head as of its call', async () => {
  const watched = new WatchedLog(100);
  const log = readTogether(watched, patient);
  const first = new Reader(log);
  await first.take(1);
  for (let more = 0; more < 50; more += 1) watched.store();
  const [later, short] = [new Reader(log), new Reader(log, { untilPosition: 40 })];
  await later.take(1);
  watched.store();
  await Promise.all([first, later, short].map((reader) => reader.take()));
  expect([first, later, short].map(({ positions }) => positions)).toEqual([100, 150, 40].map((to) => range(1, to)));
  expect(watched).toMatchObject({ sent: 150, open: 0 });
});

test('a reading ends where nothing that is wanted stands at its end', async () => {
  const watched = new WatchedLog(10);
  for (let more = 0; more < 10; more += 1) {
    watched.put({ subject: 'connection.1.other.con', payload: Uint8Array.of(1), headers: {} });
  }
  const log = readTogether(watched, { heldMessagesMax: 3 });
  const [one, other] = [new Reader(log, { filter: 'connection.*.ten.>' }), new Reader(log, { filter })];
  await Promise.all([one.take(), other.take()]);
  expect([one.positions, other.positions]).toEqual([range(1, 10), range(1, 20)]);
  expect(watched).toMatchObject({ readings: 2, open: 0 });
});

test('one subject, the last of each and what came since a time are read as the log reads them', async () => {
  const watched = new WatchedLog(10);
  const log = readTogether(watched);
  const odd = [{ filter: 'connection.1.ten.con' }, { filter, lastPerSubject: true }, { filter, sinceMs: 1 }];
  const found = await Promise.all(odd.map((request) => collect(log.read(request))));
  expect(found.map(({ length }) => length)).toEqual([10, 1, 10]);
  expect(watched.readings).toBe(3);
});

test('however many read, from wherever, as fast as they like: each has what it would have alone', async () => {
  const reader = fc.record({
    fromPosition: fc.integer({ min: 1, max: 320 }),
    untilPosition: fc.integer({ min: 1, max: 320 }),

    beginsAfter: fc.integer({ min: 0, max: 40 }),
    pauses: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 7 }),
    takes: fc.oneof(fc.constant(Infinity), fc.integer({ min: 0, max: 300 })),
  });
  const options = fc.record({
    heldMessagesMax: fc.integer({ min: 1, max: 90 }),
    heldBytesMax: fc.integer({ min: 1, max: 300 }),
    heldBackMsMax: fc.constantFrom(0, Infinity),
  });
  const closing = fc.integer({ min: 0, max: 3 });
  await fc.assert(
    fc.asyncProperty(
      options,
      closing,
      fc.array(reader, { minLength: 1, maxLength: 4 }),
      async (limits, closesAfter, readers) => {
        const watched = new WatchedLog(0);
        watched.onClose = async () => {
          for (let turns = 0; turns < closesAfter; turns += 1) await turn();
        };
        const isWanted = (position: number) => position % 7 > 0 && position < 290;
        for (const position of range(1, 300)) {
          const subject = `connection.1.${isWanted(position) ? 'ten' : 'other'}.con`;
          watched.put({ subject, payload: Uint8Array.of(1, 2, 3, 4), headers: {} });
        }
        const log = readTogether(watched, limits);
        const taken = readers.map(async ({ beginsAfter, pauses, takes, ...asked }) => {
          for (let turns = 0; turns < beginsAfter; turns += 1) await turn();
          const one = new Reader(log, { ...asked, filter: 'connection.*.ten.>' });
          for (let step = 0; step < takes && (await one.take(1)); step += 1) {
            for (let turns = pauses[step % pauses.length] ?? 0; turns > 0 && step % 10 === 0; turns -= 1) await turn();
          }
          await one.close();
          return one.positions;
        });
        const wanted = readers.map(({ fromPosition, untilPosition, takes }) =>
          range(fromPosition, untilPosition).filter(isWanted).slice(0, takes),
        );
        expect(await Promise.all(taken)).toEqual(wanted);
        expect(watched.open).toBe(0);
      },
    ),
  );
});
