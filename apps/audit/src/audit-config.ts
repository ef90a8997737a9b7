import type { SigningPrivateJwk } from '@postern/crypto';
import { signer } from '@postern/crypto';
import { archiveStoreAt, isObjectPlace, s3SettingsOf, type S3Settings } from '@postern/event-log';
import { defineConfig, duration, integer, secretFile, secretFileOf, text } from '@postern/service';

const signingKey = () =>
  secretFileOf((content) => {
    const jwk = JSON.parse(content.reveal()) as SigningPrivateJwk;
    signer(jwk);
    return jwk;
  }, 'a private Ed25519 key as a JWK');

const maxAgeMsMax = 10 * 365 * 24 * 3_600_000;

function isPlace(place: string, settings: S3Settings): boolean {
  try {
    return archiveStoreAt(place, settings) !== undefined;
  } catch {
    return false;
  }
}

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
    /**
     * Where what was dropped from CONNECTIONS and ACCESS is archived, a folder or `s3://bucket/prefix`; without it nothing is
     * told about that.
     */
    archiveDir: text().optional(),
    /** How the object store is reached where that is one: its endpoint, region and keys. */
    archiveS3: secretFileOf((content) => s3SettingsOf(content.reveal()), 'what an object store needs').optional(),
    /** Where it keeps which connections there are, so that it need not read the whole log before it answers about the past. */
    snapshotDir: text().optional(),
    /** A snapshot for so many positions. */
    snapshotPositions: integer({ min: 2, max: 10_000_000 }).default(10_000),
  },
  [
    {
      variable: 'POSTERN_ARCHIVE_DIR',
      broken: ({ archiveDir, archiveS3 }) => {
        if (archiveDir === undefined || !isObjectPlace(archiveDir)) return undefined;
        if (archiveS3 === undefined)
          return 'names an object store, and POSTERN_ARCHIVE_S3_FILE does not say how to reach it';
        return isPlace(archiveDir, archiveS3) ? undefined : 'is no s3://bucket/prefix';
      },
    },
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
