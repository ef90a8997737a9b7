export {
  openCredential,
  SealedCredential,
  sealCredential,
  type CredentialBinding,
  type CredentialContext,
} from './credential.ts';
export { createKeyFile, type KeyFileAccess } from './key-file.ts';
export {
  dataKeyBytes,
  type DataKey,
  type KeyService,
  type KeyServiceStatus,
  type TenantScope,
  type UnwrapResult,
  type WrappedDataKey,
} from './key-service.ts';
export { keyFileCheckIntervalMs, localKeyService } from './local-key-service.ts';
export {
  localKeyAdministration,
  type LocalKeyAdministration,
  type LocalKeyAdministrationOptions,
} from './local-key-administration.ts';
export type { KeyAdministration, RetireBefore } from './key-administration.ts';
export { argon2Lanes, argon2MemoryKiB, argon2Passes, passphraseCharactersMin } from './passphrase.ts';
export { transitKeyAdministration } from './transit-key-administration.ts';
export { transitKeyService } from './transit-key-service.ts';
export { transitLimits } from './transit-limits.ts';
export type { VaultPlace } from './vault-client.ts';
export type { VaultAccess } from './vault-session.ts';
