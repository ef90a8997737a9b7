/**
 * What the vault service may do: have data keys made, opened and wrapped anew under tenants' keys, and see their
 * versions. It can make, change, rotate, trim, export or delete no key, encrypts nothing of its own choice, and sees
 * nothing outside transit but its own token. `deploy/vault/` has the same text for production.
 */
export const vaultServicePolicy = `
path "transit/datakey/plaintext/ten_*" { capabilities = ["update"] }
path "transit/decrypt/ten_*" { capabilities = ["update"] }
path "transit/rewrap/ten_*" { capabilities = ["update"] }
path "transit/keys/ten_*" { capabilities = ["read"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
`.trimStart();

/**
 * What whoever provisions may do to keys: make one that can be neither exported nor deleted, rotate it, let old
 * versions go. It cannot use a key, so it opens nothing. Whole segments are named, since `ten_*` would reach below a
 * key as well; so transit is mounted for Postern alone.
 */
export const vaultProvisionerPolicy = `
path "transit/keys/+" {
  capabilities = ["create", "read", "update"]
  allowed_parameters = { "type" = ["aes256-gcm96"] }
}
path "transit/keys/+/rotate" { capabilities = ["create", "update"] }
path "transit/keys/+/config" {
  capabilities = ["create", "update"]
  allowed_parameters = { "min_decryption_version" = [], "min_encryption_version" = [] }
}
path "transit/keys/+/trim" { capabilities = ["create", "update"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
`.trimStart();
