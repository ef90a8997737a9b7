import { toBytes, type Bytes } from './bytes.ts';
import { DerivedKeys } from './derived-keys.ts';
import { InputInvalidError } from './errors.ts';
import { agreeOn, sealIn, type AgreementParties, type JweContent, type SealingContext } from './jwe-seal.ts';

/** How long one ephemeral key, and the content key derived from it, may be used. */
export const ephemeralKeyAgeMsMax = 60_000;

/**
 * How much may be sealed under one derived key. Random 96-bit IVs of 2²⁰ seals meet with a probability under
 * 2⁻⁵⁷, far below the 2⁻³² that GCM is allowed.
 *
 * @source NIST SP 800-38D §8.3
 */
export const ephemeralKeySealsMax = 2 ** 20;

/** How many derived keys are kept at once, about 1 KiB each; past it the eldest goes first. */
export const sealingContextsMax = 16_384;

/** Limits to lower, and the clock; the defaults are the maxima. */
export interface SealerOptions {
  readonly ephemeralKeyAgeMs?: number;
  readonly ephemeralKeySeals?: number;
  readonly contexts?: number;
  /** Monotonic; by default the process's own clock. */
  readonly nowMs?: () => number;
}

/** What {@link Sealer.seal} seals, to whom, on whose behalf. */
export interface SealRequest extends AgreementParties, JweContent {
  /** Whose data it is (the tenant): two scopes never share a derived key, even for one recipient. */
  readonly scope: string;
}

/** To whom, and on whose behalf: {@link SealRequest} without what is sealed. */
export type SealParties = Omit<SealRequest, keyof JweContent>;

/** A {@link Sealer} with its parties named. It holds no key, and can be kept for as long as one likes. */
export interface SealerTo {
  /** As {@link Sealer.seal}. */
  readonly seal: (content: JweContent) => string;
}

interface CountedContext extends SealingContext {
  seals: number;
}

/**
 * Seals like `sealJwe`, but keeps each key agreement for a while: per recipient and scope, at most
 * {@link ephemeralKeyAgeMsMax} and {@link ephemeralKeySealsMax} seals. It is what makes a lease cost
 * microseconds.
 */
export class Sealer {
  readonly #contexts: DerivedKeys<CountedContext>;
  readonly #seals: number;

  /** @throws {InputInvalidError} when a limit is not between 1 and its maximum. */
  constructor(options: SealerOptions = {}) {
    this.#seals = limit(options.ephemeralKeySeals, ephemeralKeySealsMax);
    this.#contexts = new DerivedKeys({
      ageMs: limit(options.ephemeralKeyAgeMs, ephemeralKeyAgeMsMax),
      size: limit(options.contexts, sealingContextsMax),
      nowMs: options.nowMs ?? (() => performance.now()),
    });
  }

  /** How many derived keys are held now. */
  get size(): number {
    return this.#contexts.size;
  }

  /**
   * @returns a compact JWE.
   * @throws {KeyInvalidError} on a recipient that is no good X25519 public key.
   * @throws {InputInvalidError} on reserved header members.
   */
  seal(request: SealRequest): string {
    return this.#seal(nameOf(request), request, request);
  }

  /** For many seals to the same: naming the parties takes as long as a good part of one. */
  to(parties: SealParties): SealerTo {
    const name = nameOf(parties);
    return { seal: (content) => this.#seal(name, parties, content) };
  }

  /** Wipes every derived key: at shutdown, or when a recipient's key is withdrawn. The sealer stays usable. */
  clear(): void {
    this.#contexts.clear();
  }

  #seal(name: string, parties: AgreementParties, content: JweContent): string {
    let context = this.#contexts.get(name);
    if (!context || context.seals >= this.#seals) {
      context = { ...agreeOn(parties), seals: 0 };
      this.#contexts.keep(name, context);
    }
    context.seals += 1;
    return sealIn(context, content);
  }
}

/** What comes last may hold anything: all before it has a known length or no dot. */
function nameOf({ recipient: { x, kid }, scope, apu, apv }: SealParties): string {
  const parties = apu === undefined && apv === undefined ? '' : `${encoded(apu)}.${encoded(apv)}`;
  return `${x}.${parties}.${scope.length}.${scope}.${kid === undefined ? '-' : `+${kid}`}`;
}

/** A spelling without the dot that separates, so that no two contexts share a name. */
function encoded(value: Bytes | undefined): string {
  return value === undefined ? '-' : `+${toBytes(value).toString('base64url')}`;
}

function limit(value: number | undefined, max: number): number {
  if (value === undefined) return max;
  if (!(value >= 1 && value <= max)) throw new InputInvalidError('a sealing limit is out of range');
  return value;
}
