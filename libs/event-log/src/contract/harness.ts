import { isPosternError, type ErrorCode } from '@postern/contracts';

import type { EventLog, StoredMessage } from '../event-log.ts';

/** A log to be tested, with a hand on what surrounds it. */
export interface LogUnderTest {
  readonly log: EventLog;
  /** Another client of the same log. */
  readonly otherLog: EventLog;
  /** Stores a message as somebody would who keeps to no rule. @returns its position */
  put(message: Pick<StoredMessage, 'subject' | 'payload' | 'headers'>): Promise<number>;
  /** The next append of `log` is stored, but its acknowledgement never arrives. */
  loseNextAcknowledgement(): void;
  /** The server falls silent, or dies. */
  stopServing(): Promise<void>;
  /** It is back, with everything it had acknowledged. */
  resumeServing(): Promise<void>;
  close(): Promise<void>;
}

type TestBody = () => Promise<void>;

/** The part of jest's globals that is used; they exist only inside a test file. */
interface TestGlobals {
  readonly describe: (name: string, body: () => void) => void;
  readonly test: (name: string, body: TestBody) => void;
  readonly beforeAll: (body: TestBody) => void;
  readonly afterAll: (body: TestBody) => void;
}

export const testGlobals = (): TestGlobals => globalThis as unknown as TestGlobals;

/** The code of the error a promise ends with; undefined when it ends well. */
export async function codeOf(promise: Promise<unknown>): Promise<ErrorCode | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    if (isPosternError(error)) return error.code;
    throw error;
  }
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (data: Uint8Array): string => new TextDecoder().decode(data);
