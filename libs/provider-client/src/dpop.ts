import type { Secret } from '@postern/crypto';

import { challengeParameters } from './challenge.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import { ProviderCallError } from './provider-call-error.ts';

/** What a proof is about. @source RFC 9449 §4.2 */
export interface DpopProofRequest {
  readonly htm: string;
  /** Without query and fragment. */
  readonly htu: string;
  readonly nonce?: string | undefined;
  /** With which token it goes; at a token endpoint with none. */
  readonly accessToken?: Secret | undefined;
}

/**
 * Signs proofs with the key to which the tokens of one connection are bound. The key is elsewhere.
 *
 * @returns the proof, and by which name servers know the key
 */
export type DpopProver = (request: DpopProofRequest) => Promise<{ readonly proof: string; readonly jkt: string }>;

const originsMax = 256;

/** The newest nonce of each server: it is the one to use, whoever of us it was given to. @source RFC 9449 §8.2 */
export class DpopNonces {
  readonly #newest = new Map<string, string>();

  of(url: string): string | undefined {
    return this.#newest.get(new URL(url).origin);
  }

  /** What no proof could carry is no nonce. */
  heard(url: string, nonce: string | null): void {
    if (nonce === null || nonce.length > 512 || !/^[\x21\x23-\x5B\x5D-\x7E]+$/.test(nonce)) return;
    const { origin } = new URL(url);
    this.#newest.delete(origin);
    this.#newest.set(origin, nonce);
    const [oldest] = this.#newest.keys();
    if (this.#newest.size > originsMax && oldest !== undefined) this.#newest.delete(oldest);
  }
}

interface Proving {
  /** A call that ends after so long. */
  readonly fetch: (timeoutMs: number) => GuardedFetch;
  readonly prove: DpopProver;
  readonly nonces: DpopNonces;
  /** For everything together. */
  readonly timeoutMs: number;
  /** Only where the call is made with a token: then it goes by the scheme DPoP. @source RFC 9449 §7.1 */
  readonly accessToken?: Secret | undefined;
}

/**
 * Sends each request with a proof of its own, and once more when the server wants its nonce in it: who asks for a nonce
 * has done nothing yet.
 *
 * @source RFC 9449 §5, §8, §9
 */
export function withDpop({ fetch, prove, nonces, timeoutMs, accessToken }: Proving): GuardedFetch {
  return async (url, init) => {
    const startedMs = performance.now();
    const send = async () => {
      const { origin, pathname } = new URL(url);
      const nonce = nonces.of(url);
      const { proof } = await prove({ htm: init.method, htu: `${origin}${pathname}`, nonce, accessToken });
      const leftMs = Math.floor(timeoutMs - (performance.now() - startedMs));
      // Nothing was sent in this turn, and what was before is not done.
      if (leftMs < 1) throw new ProviderCallError('unreachable');
      const bound = accessToken === undefined ? {} : { authorization: `DPoP ${accessToken.reveal()}` };
      const response = await fetch(leftMs)(url, { ...init, headers: { ...init.headers, ...bound, dpop: proof } });
      nonces.heard(url, response.headers.get('dpop-nonce'));
      return { response, nonce };
    };
    const first = await send();
    const isNew = nonces.of(url) !== first.nonce;
    return isNew && (await wantsNonce(first.response)) ? (await send()).response : first.response;
  };
}

async function wantsNonce(response: Response): Promise<boolean> {
  if (response.status !== 400 && response.status !== 401) return false;
  const challenge = challengeParameters(response.headers.get('www-authenticate')).get('error');
  return challenge === wanted || (await errorOf(response.clone())) === wanted;
}

const wanted = 'use_dpop_nonce';

async function errorOf(response: Response): Promise<unknown> {
  try {
    const body: unknown = await response.json();
    return typeof body === 'object' && body !== null ? Reflect.get(body, 'error') : undefined;
  } catch {
    return undefined;
  }
}
