path "transit/datakey/plaintext/ten_*" { capabilities = ["update"] }
path "transit/decrypt/ten_*" { capabilities = ["update"] }
path "transit/rewrap/ten_*" { capabilities = ["update"] }
path "transit/keys/ten_*" { capabilities = ["read"] }
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
