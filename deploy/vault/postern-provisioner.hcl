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
