import type { PosternError } from '@postern/contracts';

import { busError } from './bus-errors.ts';
import type { Bus } from './bus.ts';
import { claimsOf, userIn } from './nkey.ts';

/** Newer credentials are taken within this time: a hundredth of their life, and a file is cheap to read. */
const checkIntervalMsMin = 20;
const checkIntervalMsMax = 5_000;
const checksALife = 100;

export interface RenewalOptions {
  /** The credentials of now: their life says how often to look for newer ones. */
  readonly creds: string;
  readonly onRenewed?: (() => void) | undefined;
  /** Newer ones were not accepted, or the bus was not reached; it is tried again. */
  readonly onError?: ((error: PosternError) => void) | undefined;
}

/**
 * Keeps a connection alive beyond the life of its user: as soon as the function that gives its credentials gives newer
 * ones, the bus goes over to them ({@link Bus.renew}).
 *
 * @returns the way to stop it.
 */
export function keepRenewed(bus: Bus, { creds, onRenewed, onError }: RenewalOptions): () => void {
  const { issuedAtMs, expiresAtMs } = lifeOf(creds);
  const lifeMs = expiresAtMs - issuedAtMs;
  const intervalMs = Math.min(checkIntervalMsMax, Math.max(checkIntervalMsMin, lifeMs / checksALife));
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const look = async () => {
    try {
      if (bus.isConnected && bus.hasNewerCreds) {
        await bus.renew();
        onRenewed?.();
      }
    } catch (error) {
      onError?.(busError(error));
    }
    if (!stopped) later();
  };
  const later = () => {
    timer = setTimeout(() => void look(), intervalMs);
    timer.unref();
  };
  later();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

/**
 * When the user of a `.creds` file was issued and when it ends; `expiresAtMs` is Infinity for one that does not.
 *
 * @throws {Error} for a text that holds no user.
 */
export function lifeOf(creds: string): { issuedAtMs: number; expiresAtMs: number } {
  const { iat, exp } = claimsOf(userIn(creds).jwt);
  return { issuedAtMs: iat * 1_000, expiresAtMs: exp === undefined || exp === 0 ? Infinity : exp * 1_000 };
}
