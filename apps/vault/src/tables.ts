import { defineEntity, p, type InferEntity } from '@mikro-orm/core';
import type { TablePrivilege } from '@postern/persistence';

/** The vault's own schema; nobody else has rights in it. */
export const vaultSchema = 'vault';

/**
 * The data key of a connection or registration, wrapped by the key service. A shredded one leaves its row with no key,
 * so that a late store cannot make a new one.
 *
 * Versions are of the tenant's key: the one that wraps now (which the database reads from `wrappedKey` itself), the one
 * under which the data key was generated, the one that wrapped it last when it was shredded.
 */
export const DataKeyTable = defineEntity({
  name: 'DataKey',
  tableName: 'data_key',
  properties: {
    tenantId: p.string().primary(),
    ownerId: p.string().primary(),
    wrappedKey: p.string().nullable(),
    /** Counts the owner's data keys; what is sealed names the one that sealed it. */
    generation: p.integer(),
    createdAt: p.datetime(),
  },
});
export type DataKeyRow = InferEntity<typeof DataKeyTable>;

/**
 * A version of a connection's credential, as one claim or session bought it.
 *
 * Access and refresh token are two ciphertexts, so that a lease never decrypts a refresh token. Nothing that can be
 * read from them stands beside them: what is not stored cannot be forged.
 */
export const CredentialTable = defineEntity({
  name: 'Credential',
  tableName: 'credential',
  properties: {
    tenantId: p.string().primary(),
    connectionId: p.string().primary(),
    version: p.integer().primary(),
    /** The claim or session; one buyer has one row. */
    boughtBy: p.string(),
    credentialId: p.string(),
    accessCiphertext: p.blob(),
    refreshCiphertext: p.blob().nullable(),
    keyGeneration: p.integer(),
    createdAt: p.datetime(),
  },
});
export type CredentialRow = InferEntity<typeof CredentialTable>;

/**
 * What a session's code bought, until its platform completes the session or its time is over; or, under a name made from the
 * session's, the device code by which it is asked for.
 */
export const PendingCredentialTable = defineEntity({
  name: 'PendingCredential',
  tableName: 'pending_credential',
  properties: {
    tenantId: p.string().primary(),
    connectionId: p.string().primary(),
    sessionId: p.string().primary(),
    credentialId: p.string(),
    ciphertext: p.blob(),
    keyGeneration: p.integer(),
    expiresAt: p.datetime(),
  },
});
export type PendingCredentialRow = InferEntity<typeof PendingCredentialTable>;

/**
 * A secret beside the tokens, in versions: what a client registration authenticates with, and the key to which the
 * tokens of a connection are bound.
 */
export const OwnedSecretTable = defineEntity({
  name: 'OwnedSecret',
  tableName: 'owned_secret',
  properties: {
    tenantId: p.string().primary(),
    ownerId: p.string().primary(),
    kind: p.string().primary(),
    version: p.integer().primary(),
    ciphertext: p.blob(),
    keyGeneration: p.integer(),
    createdAt: p.datetime(),
  },
});
export type OwnedSecretRow = InferEntity<typeof OwnedSecretTable>;

/**
 * The end of versions of a tenant's key before one: from `beganAt` on nothing is wrapped by them any more, from `goneAt`
 * on their material is gone from the key service.
 */
export const KeyRetirementTable = defineEntity({
  name: 'KeyRetirement',
  tableName: 'key_retirement',
  properties: {
    tenantId: p.string().primary(),
    beforeVersion: p.integer().primary(),
    beganAt: p.datetime(),
    goneAt: p.datetime().nullable(),
  },
});

export const vaultTables = [
  DataKeyTable,
  CredentialTable,
  PendingCredentialTable,
  OwnedSecretTable,
  KeyRetirementTable,
];

/**
 * All that the vault's role may do. A stored credential is never changed, only replaced by its next version; its
 * ciphertext is written anew when its data key is rotated.
 */
export const vaultGrants: Readonly<Record<string, readonly TablePrivilege[]>> = Object.freeze({
  data_key: ['select', 'insert', 'update'],
  credential: ['select', 'insert', 'update', 'delete'],
  pending_credential: ['select', 'insert', 'update', 'delete'],
  owned_secret: ['select', 'insert', 'update', 'delete'],
  key_retirement: ['select', 'insert', 'update'],
});
