import { PosternError } from '@postern/contracts';
import { AeadCiphertext, CryptoError, encryptAead, framed } from '@postern/crypto';

/** Where a credential belongs. All of it must be named again to open the credential. */
export interface CredentialBinding {
  readonly tenantId: string;
  readonly providerId: string;
  /** The connection, or the client registration, that the credential is of. */
  readonly ownerId: string;
  /** A whole number, 0 or more. */
  readonly credentialVersion: number;
  /** What it is, such as a token set, a client secret, a webhook secret. */
  readonly kind: string;
}

/** A data key, unwrapped, and the place of the credential. */
export interface CredentialContext {
  readonly dataKey: Uint8Array;
  readonly binding: CredentialBinding;
}

const purpose = 'postern credential v1';

/**
 * Encrypts a credential so that it opens in its own place only: a row copied to another tenant, provider,
 * owner, version or kind is refused, whatever the database says.
 *
 * @returns AES-256-GCM: version byte | IV | ciphertext | tag.
 */
export function sealCredential({ dataKey, binding, plaintext }: CredentialContext & { plaintext: Uint8Array }): Buffer {
  return encryptAead({ key: dataKey, plaintext, additionalData: additionalDataOf(binding) });
}

/**
 * Opens what {@link sealCredential} made. Zero the result when the request that needed it is done.
 *
 * @throws {PosternError} `vault.ciphertext_invalid` under another key or binding, or when a bit was changed.
 */
export function openCredential({ dataKey, ...credential }: CredentialContext & { sealed: Uint8Array }): Buffer {
  return new SealedCredential(credential).open(dataKey);
}

/** What {@link sealCredential} made, in its place: spelled once for what is opened again and again. */
export class SealedCredential {
  readonly #ciphertext: AeadCiphertext;

  /**
   * @param credential of `sealed` a view is kept, no copy.
   * @throws {TypeError} on an incomplete binding.
   */
  constructor({ binding, sealed }: Pick<CredentialContext, 'binding'> & { readonly sealed: Uint8Array }) {
    this.#ciphertext = new AeadCiphertext({ sealed, additionalData: additionalDataOf(binding) });
  }

  /**
   * As {@link openCredential}.
   *
   * @throws {PosternError} `vault.ciphertext_invalid`
   */
  open(dataKey: Uint8Array): Buffer {
    try {
      return this.#ciphertext.open(dataKey);
    } catch (error) {
      if (!(error instanceof CryptoError)) throw error;
      throw new PosternError('vault.ciphertext_invalid', 'A stored credential did not open in its place');
    }
  }
}

/** An incomplete binding is a bug of the caller and must not seal anything. */
function additionalDataOf(binding: CredentialBinding): Buffer {
  const { tenantId, providerId, ownerId, credentialVersion, kind } = binding;
  if (!Number.isSafeInteger(credentialVersion) || credentialVersion < 0) throw new TypeError('no credential version');
  const names = [tenantId, providerId, ownerId, kind];
  if (names.some((name) => typeof name !== 'string' || name === '')) throw new TypeError('an incomplete binding');
  return framed(purpose, tenantId, providerId, ownerId, String(credentialVersion), kind);
}
