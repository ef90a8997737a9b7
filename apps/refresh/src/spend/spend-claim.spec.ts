import { PosternError } from '@postern/contracts';
import { Secret } from '@postern/crypto';
import { Clock, Metrics } from '@postern/service';

import { claimId, connectionId, tenantId } from '../spec-support/states.ts';
import { SpendClaim } from './spend-claim.ts';

const config = { claimTimeoutMs: 20_000, providerTimeoutMs: 8_000 };
const rejected = { kind: 'rejected', error: 'invalid_grant', errorDescription: null, httpStatus: 400 };
const held = { tenantId, connectionId, claimId, registrationId: 'reg', providerId: 'acme' };

interface Situation {
  /** What the vault refuses with, in the place of a refresh token. */
  readonly refused?: PosternError;
  /** Whether the vault holds what an interrupted claim bought, each time it is asked; an error where it does not answer. */
  readonly recovers: readonly (boolean | PosternError)[];
}

/** A worker whose provider rejects what it is sent. */
function spending({ refused, recovers }: Situation) {
  const done: string[] = [];
  const left = [...recovers];
  const clock = Object.assign(new Clock(), { sleep: async () => undefined });
  const client = { refresh: async () => rejected };
  const spend = new SpendClaim(
    config as never,
    clock,
    { of: async () => ({ client, mayRotate: true }) } as never,
    {
      release: async () => {
        if (refused !== undefined) throw refused;
        return { refreshToken: Secret.from('rt'), grantedScopes: [] };
      },
    } as never,
    {} as never,
    {
      rejected: async () => (done.push('rejected'), true),
      failed: async () => void done.push('failed'),
    } as never,
    {
      recover: async () => {
        const answer = left.shift() ?? false;
        if (answer instanceof Error) throw answer;
        if (answer) done.push('recovered');
        return answer;
      },
    } as never,
    { heard: (_id: string, answer: object) => answer } as never,
    { info: () => undefined, warn: () => undefined, error: () => undefined } as never,
    new Metrics(),
  );
  const run = () =>
    spend.spend({ held: { ...held, sinceMs: clock.monotonicMs() } } as never, { working: () => done.push('working') });
  return { done, run };
}

describe('what an interrupted claim bought comes in late', () => {
  const stale = new PosternError('vault.version_stale', 'It is stored.');
  const silent = new PosternError('bus.timeout', 'No answer.');

  test('before the vault gives the refresh token away: it is recorded, and nothing is spent', async () => {
    const { done, run } = spending({ refused: stale, recovers: [true] });
    expect(await run()).toBe('settled');
    expect(done).toEqual(['recovered']);
  });

  test('while the provider refuses it: that is recorded in the place of the refusal', async () => {
    const { done, run } = spending({ recovers: [true] });
    expect(await run()).toBe('superseded');
    expect(done).toEqual(['recovered']);
  });

  test('and where it does not, the refusal stands', async () => {
    const { done, run } = spending({ recovers: [false] });
    expect(await run()).toBe('settled');
    expect(done).toEqual(['rejected']);
  });

  test('while the refusal is written down: it is recorded after it, and the grant lives', async () => {
    const { done, run } = spending({ recovers: [false, true] });
    expect(await run()).toBe('superseded');
    expect(done).toEqual(['rejected', 'recovered']);
  });

  test('the vault is asked until it answers: no grant is called dead before', async () => {
    const { done, run } = spending({ recovers: [silent, silent, true] });
    expect(await run()).toBe('superseded');
    expect(done).toEqual(['working', 'working', 'recovered']);
  });

  test('a stale version that nothing can be recorded of is a failure like others', async () => {
    const { done, run } = spending({ refused: stale, recovers: [false] });
    expect(await run()).toBe('settled');
    expect(done).toEqual(['failed']);
  });
});
