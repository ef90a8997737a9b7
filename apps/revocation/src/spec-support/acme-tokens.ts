import { pkcePair, randomToken, Secret } from '@postern/crypto';
import { loadCatalog, providerOf } from '@postern/provider-catalog';
import { heldClientSecret, ProviderClient } from '@postern/provider-client';
import { acmeAccounts, acmeLoginAndConsent, ScriptedBrowser, type Acme, type AcmeClient } from '@postern/testing';

const scopes = ['openid', 'offline_access', 'contacts:read'];

/** Our client at Acme. */
export function acmeClient(acme: Acme, app: AcmeClient): ProviderClient {
  return new ProviderClient({
    provider: providerOf(loadCatalog(), 'openid-connect'),
    registration: {
      clientId: app.clientId,
      tokenEndpointAuthMethod: 'client_secret_basic',
      parameters: { issuer: acme.issuer },
    },
    credentials: heldClientSecret(Secret.from(app.clientSecret ?? '')),
    allowLoopback: true,
  });
}

/** Real tokens of Acme, in a grant of their own. */
export async function tokensOfAcme(client: ProviderClient, redirectUri: string) {
  const [state, nonce] = [randomToken(), randomToken()];
  const { codeVerifier, codeChallenge } = pkcePair();
  const url = await client.authorizationUrl({ redirectUri, state, codeChallenge, scopes, nonce });
  const { email: user, password } = acmeAccounts.ada;
  const journey = { user, password, decision: 'allow', returnUrl: redirectUri } as const;
  const { searchParams: parameters } = await acmeLoginAndConsent(new ScriptedBrowser(), url, journey);
  const callback = await client.readCallback({ parameters, expectedState: state });
  if (callback.kind !== 'code') throw new Error('Acme denied');
  const outcome = await client.exchangeCode({ callback, redirectUri, codeVerifier, nonce, requestedScopes: scopes });
  if (outcome.kind !== 'exchanged') throw new Error(`not exchanged: ${outcome.error}`);
  return outcome.tokenSet;
}
