import { createHash, randomBytes } from 'node:crypto';

import { Secret, verifyWebhook } from '@postern/crypto';
import { namedAccounts, readDelivery, type Provider } from '@postern/provider-catalog';
import type { ProviderInternet, ProviderProfile } from '@postern/testing';

import { heldClientSecret, ProviderClient, type Exchanged } from '../index.ts';

const redirectUri = 'https://postern.example/oauth/callback/reg_1';
const secondsOfDoubt = 120;

/** What a client makes of a provider by its file, against what the provider does. */
export class ProfileWalk {
  /** What does not fit, in words; nothing where the file is right. */
  readonly problems: string[] = [];
  readonly #profile: ProviderProfile;
  readonly #provider: Provider;
  readonly #internet: ProviderInternet;

  constructor(profile: ProviderProfile, provider: Provider, internet: ProviderInternet) {
    this.#profile = profile;
    this.#provider = provider;
    this.#internet = internet;
  }

  async take(): Promise<readonly string[]> {
    const registered = await this.#internet.registerClient(this.#profile.id, redirectUri);
    const client = this.#client(registered.clientId, registered.clientSecret);
    const first = await this.#connect(client);
    if (first === null) return this.problems;
    this.#looksRight(first);
    await this.#refreshes(client, first);
    await this.#takenAway(client, registered.clientId);
    await this.#endedByUs(client, registered.clientId);
    await this.#strangers(registered.clientId, client);
    return this.problems;
  }

  #client(clientId: string, secret: string): ProviderClient {
    const [tokenEndpointAuthMethod = 'none'] = this.#provider.tokenEndpointAuthMethods;
    const parameters = this.#profile.client.parameters ?? {};
    return new ProviderClient({
      provider: this.#provider,
      registration: { clientId, tokenEndpointAuthMethod, parameters },
      credentials: heldClientSecret(Secret.from(secret)),
      allowLoopback: false,
    });
  }

  #expect(claim: string, holds: boolean): void {
    if (!holds) this.problems.push(claim);
  }

  async #connect(client: ProviderClient): Promise<Exchanged | null> {
    const { scopes } = this.#profile.client;
    const verifier = randomBytes(32).toString('base64url');
    const nonce = scopes.includes('openid') ? 'n-1' : null;
    try {
      const url = await client.authorizationUrl({
        ...{ redirectUri, scopes, state: 's-1', ...(nonce !== null && { nonce }) },
        codeChallenge: createHash('sha256').update(verifier).digest('base64url'),
      });
      const answer = await fetch(url, { redirect: 'manual' });
      const location = answer.headers.get('location');
      if (location === null) throw new Error(`the authorization endpoint answered ${answer.status}`);
      const callback = await client.readCallback({
        parameters: new URL(location).searchParams,
        expectedState: 's-1',
      });
      if (callback.kind !== 'code') throw new Error(`the authorization was ${callback.kind}`);
      const codeVerifier = Secret.from(verifier);
      const outcome = await client.exchangeCode({
        ...{ callback, redirectUri, codeVerifier, nonce, requestedScopes: scopes },
      });
      if (outcome.kind === 'exchanged') return outcome;
      throw new Error(`the code: ${outcome.kind} ${outcome.error}`);
    } catch (error) {
      this.problems.push(`connect: ${error instanceof Error ? error.message : String(error)}`);
      return null;
    }
  }

  #looksRight({ tokenSet }: Exchanged): void {
    const { accessTokenTtlS, client } = this.#profile;
    const ends = tokenSet.accessTokenExpiresAtMs;
    const livesS = ends === null ? null : Math.round((ends - Date.now()) / 1_000);
    const fits =
      accessTokenTtlS === null || livesS === null
        ? accessTokenTtlS === livesS
        : Math.abs(livesS - accessTokenTtlS) < secondsOfDoubt;
    this.#expect(`an access token lives ${accessTokenTtlS} s and is believed to live ${livesS} s`, fits);
    const held = tokenSet.grantedScopes.toSorted().join(' ');
    this.#expect(`the scopes are told as ${held}`, held === client.scopes.toSorted().join(' '));
    const { issued } = this.#provider.refresh;
    const has = tokenSet.refreshToken !== null;
    this.#expect(`a refresh token is issued ${issued}`, issued === 'depends' || (issued === 'always') === has);
  }

  async #refreshes(client: ProviderClient, { tokenSet }: Exchanged): Promise<void> {
    const { refresh } = this.#profile;
    const { refreshToken, accessToken, grantedScopes } = tokenSet;
    this.#expect('a refresh token comes where the provider has them', (refreshToken !== null) === (refresh !== null));
    this.#expect('a new access token is taken by the API', await this.#isTaken(accessToken));
    if (refreshToken === null || refresh === null) return;
    const { rotation, endsAccessToken, reuseGraceS } = this.#provider.refresh;
    const old = { refreshToken: Secret.from(refreshToken), grantedScopes };
    const outcome = await client.refresh(old);
    if (outcome.kind !== 'refreshed') {
      this.problems.push(`refresh: ${outcome.kind} ${outcome.error}`);
      return;
    }
    this.#expect(
      `refresh tokens rotate: ${rotation}`,
      rotation === 'unknown' || outcome.rotated === (rotation !== 'none'),
    );
    this.#expect('a refreshed access token is taken by the API', await this.#isTaken(outcome.tokenSet.accessToken));
    const oldLives = await this.#isTaken(accessToken);
    this.#expect('a refresh leaves the access token of before alive', endsAccessToken || oldLives);
    const again = await client.refresh(old);
    const mayComeAgain = reuseGraceS > 0 || rotation === 'none';
    this.#expect(`a spent refresh token may come again: ${again.kind}`, !mayComeAgain || again.kind === 'refreshed');
    const isDead = refresh.rotates && refresh.graceS === 0;
    this.#expect(`a spent refresh token is dead: ${again.kind}`, !isDead || again.kind === 'rejected');
  }

  async #isTaken(accessToken: string): Promise<boolean> {
    const { at, method = 'GET', dead } = this.#profile.api;
    const answer = await fetch(at, { method, headers: { authorization: `Bearer ${accessToken}` } });
    return (await answer.text()) !== JSON.stringify(dead.body);
  }

  async #takenAway(client: ProviderClient, clientId: string): Promise<void> {
    const connected = await this.#connect(client);
    if (connected === null) return;
    const { tokenSet } = connected;
    await this.#internet.takeAway((await this.#internet.latestGrant(clientId)).number, { silently: true });
    if (this.#provider.api.tokenProbe !== null) {
      const { kind } = await client.probe(Secret.from(tokenSet.accessToken));
      this.#expect(`the API says of an ended token: ${kind}`, kind === 'dead');
    }
    if (tokenSet.refreshToken !== null) {
      const refreshToken = Secret.from(tokenSet.refreshToken);
      const { kind } = await client.refresh({ refreshToken, grantedScopes: tokenSet.grantedScopes });
      this.#expect(`a refresh token whose grant has ended is ${kind}`, kind === 'rejected');
    }
    await this.#isHeard(connected, clientId);
  }

  /** The provider's own notice, verified and read by its file, names the account that authorized. */
  async #isHeard({ accountKeys }: Exchanged, clientId: string): Promise<void> {
    const { number, account, scopes } = await this.#internet.latestGrant(clientId);
    const { notice, transmitter, noticeFindsNobody, id: profileId } = this.#profile;
    if (transmitter !== undefined) return;
    const sent = await notice?.({ number, account, scopes, clientId, profileId, nonce: null });
    if (sent === undefined) return;
    const { webhook } = this.#provider;
    if (webhook === null) {
      this.problems.push('the provider sends notices, and its file has no webhook');
      return;
    }
    const body = JSON.stringify(sent.body);
    const headers = await sent.headers(body, 'the secret');
    const verified = verifyWebhook({
      scheme: webhook.scheme,
      delivery: { method: 'POST', url: 'https://postern.example/', headers, body: Buffer.from(body) },
      secrets: [{ secret: Buffer.from('the secret') }],
      ...{ nowMs: Date.now(), ageMsMax: 300_000 },
    });
    this.#expect('the notice is verified', verified !== undefined);
    const read = readDelivery(webhook, { body: sent.body, headers });
    if (read.kind !== 'event') {
      this.problems.push(`the notice is read as ${read.kind}`);
      return;
    }
    const known = new Set(accountKeys.map(({ key, values }) => `${key} ${values.join(' ')}`));
    const named = namedAccounts(read.event.names, sent.body);
    this.#expect(
      `the notice names the account that authorized${noticeFindsNobody === undefined ? '' : ', or it does not'}`,
      named.some(({ key, values }) => known.has(`${key} ${values.join(' ')}`)) === (noticeFindsNobody === undefined),
    );
  }

  async #endedByUs(client: ProviderClient, clientId: string): Promise<void> {
    const connected = await this.#connect(client);
    if (connected === null) return;
    const { tokenSet } = connected;
    const accessToken = Secret.from(tokenSet.accessToken);
    const refreshToken = tokenSet.refreshToken === null ? null : Secret.from(tokenSet.refreshToken);
    const outcomes = client.hasOwnRevocation
      ? [await client.endAuthorization({ accessToken })]
      : [
          ...(refreshToken === null ? [] : [await client.revoke({ token: refreshToken, hint: 'refresh_token' })]),
          await client.revoke({ token: accessToken, hint: 'access_token' }),
        ];
    const { ended } = await this.#internet.latestGrant(clientId);
    const kinds = outcomes.map((outcome) => (outcome.kind === 'failed' ? outcome.error : outcome.kind)).join(', ');
    if (this.#profile.revocable) {
      this.#expect(
        `told by us it says ${kinds}`,
        outcomes.every(({ kind }) => kind === 'revoked'),
      );
      this.#expect('told by us, the grant is over there', ended);
    } else {
      this.#expect(
        `it cannot be told: ${kinds}`,
        outcomes.every(({ kind }) => kind === 'failed'),
      );
    }
  }

  /** With another's secret nothing is judged about the grant. */
  async #strangers(clientId: string, client: ProviderClient): Promise<void> {
    const connected = await this.#connect(client);
    const refreshToken = connected?.tokenSet.refreshToken ?? null;
    if (refreshToken === null) return;
    const stranger = this.#client(clientId, 'not the secret');
    const { kind } = await stranger.refresh({ refreshToken: Secret.from(refreshToken), grantedScopes: [] });
    this.#expect(`a client with a wrong secret is ${kind}`, kind === 'client_rejected');
  }
}
