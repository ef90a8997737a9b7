import type { OperatorBundle } from '@postern/nats';

import { issueIdentities } from '../data-folder/operator.ts';
import type { DataFolder } from '../data-folder/paths.ts';

const checkIntervalMsMax = 30_000;
/** A machine that slept is told by the wall clock, so it is looked at often in a user's life. */
const checksALife = 40;

/**
 * Gives the identities their next users at half the life of the ones they have.
 *
 * @param ttlMs how long a user lives; the ones there now were just issued.
 * @returns the way to stop it.
 */
export function keepIdentitiesRenewed(options: {
  readonly folder: DataFolder;
  readonly bundle: OperatorBundle;
  readonly ttlMs: number;
  readonly onProblem: (sentence: string) => void;
}): () => void {
  const { folder, bundle, ttlMs, onProblem } = options;
  let issuedAtMs = Date.now();
  let issuing = false;
  const look = async () => {
    if (issuing || Date.now() < issuedAtMs + ttlMs / 2) return;
    issuing = true;
    const startedAtMs = Date.now();
    try {
      await issueIdentities(folder, bundle, ttlMs);
      issuedAtMs = startedAtMs;
    } catch (error) {
      onProblem(`the users of the bus could not be renewed: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      issuing = false;
    }
  };
  const timer = setInterval(() => void look(), Math.min(checkIntervalMsMax, ttlMs / checksALife));
  timer.unref();
  return () => clearInterval(timer);
}
