import { PosternError, type AppName } from '@postern/contracts';
import {
  CryptoError,
  opener,
  zero,
  type Opener,
  type SealingPrivateJwk,
  type Secret,
  type SigningPrivateJwk,
} from '@postern/crypto';
import { commitSigner, type CommitSigner } from '@postern/event-log';
import type { ServiceConfig } from './service-config.ts';

/**
 * The private keys of this service, imported once: what signs its commits and what opens what was sealed to it.
 *
 * A service that was given no key of a kind starts all the same, and stops at the first who asks for it.
 */
export class ServiceKeys {
  readonly #signer: CommitSigner | undefined;
  readonly #opener: Opener | undefined;

  /** @throws {PosternError} `config.invalid` when a file holds no key of its kind. */
  constructor(app: AppName, { signingKey, sealingKey }: Pick<ServiceConfig, 'signingKey' | 'sealingKey'>) {
    this.#signer = imported('POSTERN_SIGNING_KEY_FILE', signingKey, (jwk) =>
      commitSigner(app, jwk as SigningPrivateJwk),
    );
    this.#opener = imported('POSTERN_SEALING_KEY_FILE', sealingKey, (jwk) => opener(jwk as SealingPrivateJwk));
  }

  /** Signs commits as this app. @throws {PosternError} `config.invalid` when no signing key was given. */
  get signer(): CommitSigner {
    return given('POSTERN_SIGNING_KEY_FILE', this.#signer);
  }

  /** Opens what was sealed to this app. @throws {PosternError} `config.invalid` when no sealing key was given. */
  get opener(): Opener {
    return given('POSTERN_SEALING_KEY_FILE', this.#opener);
  }

  /**
   * A secret that was sealed to this app, in bytes of the caller's own; those that the seal gave are zeroed.
   *
   * @param what it is, for the error.
   * @throws {PosternError} `service.internal` when it was sealed to somebody else; `config.invalid` as {@link opener}.
   */
  openSecret(sealed: string, what: string): Uint8Array {
    try {
      const { plaintext } = this.opener.open(sealed);
      const secret = new Uint8Array(plaintext);
      zero(plaintext);
      return secret;
    } catch (error) {
      if (!(error instanceof CryptoError)) throw error;
      throw new PosternError('service.internal', `The ${what} was not sealed to this service.`);
    }
  }
}

function imported<T>(variable: string, key: Secret | undefined, make: (jwk: unknown) => T): T | undefined {
  if (key === undefined) return undefined;
  try {
    return make(JSON.parse(key.reveal()));
  } catch {
    throw new PosternError('config.invalid', `${variable} does not hold a private key of its kind as a JWK.`);
  }
}

function given<T>(variable: string, key: T | undefined): T {
  if (key !== undefined) return key;
  throw new PosternError('config.invalid', `${variable} is not set.`);
}
