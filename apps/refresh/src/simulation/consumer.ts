import { isPosternError } from '@postern/contracts';
import type { StoredMessage } from '@postern/event-log';
import type { WorkMessage } from '@postern/nats';
import { settleFailed, settleOnce } from '@postern/service';

import type { SimProcess } from './process.ts';
import type { World } from './world.ts';

/** A process that works off messages. */
export interface Worker {
  readonly process: SimProcess;
  handle(message: WorkMessage): Promise<void>;
}

export interface ConsumerOptions {
  readonly world: World;
  readonly name: string;
  readonly ackWaitMs: number;
  /** How many messages one process works on at a time. */
  readonly concurrencyMax: number;
  readonly workers: () => readonly Worker[];
  /** Is it still on the stream? */
  readonly stands: (message: StoredMessage) => boolean;
  /** The message is settled for ever. */
  readonly onDone: (message: StoredMessage) => void;
}

interface Outstanding {
  readonly message: StoredMessage;
  deliveries: number;
  isDone: boolean;
  callOffRedelivery: () => void;
}

/** How soon a message is tried again for which no process has room. */
const noRoomMs = 300;

/** A durable consumer: delivers to some process until one says that it is done; at times twice, late or out of order. */
export class SimConsumer {
  readonly #options: ConsumerOptions;
  readonly #inFlight = new WeakMap<SimProcess, number>();

  constructor(options: ConsumerOptions) {
    this.#options = options;
  }

  add(message: StoredMessage): void {
    const one: Outstanding = { message, deliveries: 0, isDone: false, callOffRedelivery: () => undefined };
    this.#deliverAfter(one, this.#options.world.random.between(0, 20));
  }

  #deliverAfter(one: Outstanding, ms: number): void {
    const { world } = this.#options;
    const lateMs = world.strikes('delivery') ? world.random.between(500, 60_000) : 0;
    one.callOffRedelivery();
    one.callOffRedelivery = world.timeline.after(ms + lateMs, () => this.#deliver(one));
    if (world.strikes('delivery')) world.timeline.after(ms + world.random.between(0, 5_000), () => this.#deliver(one));
  }

  #deliver(one: Outstanding): void {
    const { world, workers, concurrencyMax, ackWaitMs, stands } = this.#options;
    if (one.isDone || !stands(one.message)) return;
    const ready = workers().filter(
      ({ process }) => process.alive && (this.#inFlight.get(process) ?? 0) < concurrencyMax,
    );
    if (ready.length === 0) return this.#deliverAfter(one, noRoomMs);
    one.deliveries += 1;
    one.callOffRedelivery();
    one.callOffRedelivery = world.timeline.after(ackWaitMs, () => this.#deliver(one));
    void this.#work(world.random.pick(ready), one);
  }

  /** As the product's transport: returning acknowledges, an error's row decides. */
  async #work(worker: Worker, one: Outstanding): Promise<void> {
    const { process } = worker;
    this.#count(process, 1);
    const message = settleOnce(this.#workMessage(process, one));
    try {
      await worker.handle(message);
      await message.ack();
    } catch (error) {
      if (!isPosternError(error)) this.#bug(process, error);
      if (!message.settled) await settleFailed(message, error);
    }
    this.#count(process, -1);
  }

  #workMessage(process: SimProcess, one: Outstanding): WorkMessage {
    const { world, onDone, ackWaitMs } = this.#options;
    const { message, deliveries } = one;
    const told = (where: string, act: () => void) =>
      process.reach(where, () => {
        if (!one.isDone && !world.strikes('delivery')) act();
      });
    const done = () => {
      one.isDone = true;
      one.callOffRedelivery();
      onDone(message);
    };
    return {
      ...message,
      deliveries,
      json: <T>() => JSON.parse(Buffer.from(message.payload).toString('utf8')) as T,
      working: () => {
        if (one.isDone) return;
        one.callOffRedelivery();
        one.callOffRedelivery = world.timeline.after(ackWaitMs, () => this.#deliver(one));
      },
      ack: () => told('ack', done),
      nak: (delayMs = 0) => void told('nak', () => this.#deliverAfter(one, delayMs)),
      passOver: (delayMs) => void told('nak', () => this.#deliverAfter(one, delayMs)),
      term: () => void told('term', done),
    };
  }

  #count(process: SimProcess, by: number): void {
    this.#inFlight.set(process, (this.#inFlight.get(process) ?? 0) + by);
  }

  #bug(process: SimProcess, error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#options.world.violate('a bug is a crash', '', `${process.name}, ${this.#options.name}: ${text}`);
  }
}
