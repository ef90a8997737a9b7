import type { SigningPrivateJwk } from '@postern/crypto';
import { signer } from '@postern/crypto';
import { defineConfig, duration, integer, secretFile, secretFileOf, text } from '@postern/service';

const signingKey = () =>
  secretFileOf((content) => {
    const jwk = JSON.parse(content.reveal()) as SigningPrivateJwk;
    signer(jwk);
    return jwk;
  }, 'a private Ed25519 key as a JWK');

const maxAgeMsMax = 10 * 365 * 24 * 3_600_000;

/** What audit is told beside what every service is. */
export class AuditConfig extends defineConfig(
  {
    /** `postgresql://…` of its own role; without it there are no read models. */
    databaseUrl: secretFile().optional(),
    /** Signs the checkpoints; its public part stands in the trust bundle, under `log`. */
    checkpointKey: signingKey().optional(),
    /** Signs beside it while whoever checks moves from one to the other. */
    checkpointPreviousKey: signingKey().optional(),
    /** At least so often what came is checkpointed: what is younger is an unproven tail. */
    checkpointIntervalMs: duration({ minMs: 50, maxMs: 3_600_000 }).default(60_000),
    /** How many days of `access_hour` are kept. The window that health looks at is a day, and only whole days go. */
    accessKeptDays: integer({ min: 2, max: 3_650 }).default(90),
    /** How old an epoch may become, and records in ACCESS, before somebody is told that `postern epochs keep` did not run. */
    epochMaxAgeMs: duration({ minMs: 1, maxMs: maxAgeMsMax }).optional(),
    accessMaxAgeMs: duration({ minMs: 1, maxMs: maxAgeMsMax }).optional(),
    /** Where what was dropped from CONNECTIONS and ACCESS is archived; without it nothing is told about that. */
    archiveDir: text().optional(),
    /** Where it keeps which connections there are, so that it need not read the whole log before it answers about the past. */
    snapshotDir: text().optional(),
    /** A snapshot for so many positions. */
    snapshotPositions: integer({ min: 2, max: 10_000_000 }).default(10_000),
  },
  [
    {
      variable: 'POSTERN_TRUST_FILE',
      broken: ({ checkpointKey, trust }) =>
        checkpointKey !== undefined && !(trust.log?.keys.some(({ x }) => x === checkpointKey.x) ?? false)
          ? 'does not hold the public part of POSTERN_CHECKPOINT_KEY_FILE under log: nobody could check what it signs'
          : undefined,
    },
    {
      variable: 'POSTERN_CHECKPOINT_PREVIOUS_KEY_FILE',
      broken: ({ checkpointKey, checkpointPreviousKey }) =>
        checkpointKey === undefined && checkpointPreviousKey !== undefined
          ? 'is set, and POSTERN_CHECKPOINT_KEY_FILE is not'
          : undefined,
    },
  ],
) {}
