/**
 * What a provider does in a way of its own that no value could describe. A file picks strategies by name, and each is
 * one tested piece of code in `libs/provider-client`; a name nobody has written cannot stand in a file.
 *
 * - `json_requests`: what is sent to its OAuth endpoints is JSON and no form.
 * - `secret_as_user`: with `client_secret_basic` the secret stands where the client id would, and there is no password.
 * - `tokens_in_authed_user`: an authorization for a person answers with the person's tokens inside `authed_user`.
 * - `issuer_by_tid`: an ID token's `iss` holds the tenant of its `tid`, whatever tenant was asked.
 * - `installation_tokens`: a token of an app's installation is had from an endpoint of the installation's own, below the
 *   token endpoint, with a JWT of the app's key as bearer token.
 */
export const strategyNames = [
  'json_requests',
  'secret_as_user',
  'tokens_in_authed_user',
  'issuer_by_tid',
  'installation_tokens',
] as const;

export type StrategyName = (typeof strategyNames)[number];
