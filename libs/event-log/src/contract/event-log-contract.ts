import { appendContract } from './append-contract.ts';
import { followerContract } from './follower-contract.ts';
import { testGlobals, type LogUnderTest } from './harness.ts';
import { readContract } from './read-contract.ts';
import { repositoryContract } from './repository-contract.ts';

/**
 * What every event log has to keep: one suite for all implementations.
 *
 * Call it at the top of a test file. `makeLog` is called once; the log is shared by all tests, so each uses aggregates
 * of its own.
 */
export function eventLogContract(name: string, makeLog: () => Promise<LogUnderTest>): void {
  const { describe, beforeAll, afterAll } = testGlobals();
  describe(`${name} keeps the contract of the event log`, () => {
    let made: LogUnderTest | undefined;
    const sut = (): LogUnderTest => {
      if (made === undefined) throw new Error('the log was not made');
      return made;
    };
    beforeAll(async () => {
      made = await makeLog();
    });
    afterAll(async () => {
      await made?.close();
    });
    describe('appending', () => appendContract(sut));
    describe('reading', () => readContract(sut));
    describe('deciding', () => repositoryContract(sut));
    describe('following', () => followerContract(sut));
  });
}
