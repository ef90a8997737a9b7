import { Injectable } from '@nestjs/common';
import {
  newId,
  PosternError,
  timestampOf,
  type AppName,
  type Delegation,
  type ExchangeParty,
} from '@postern/contracts';
import {
  leaseDecision,
  loadDelegationChain,
  requireDelegation,
  type Connection,
  type DelegationChain,
} from '@postern/domain';
import { Clock } from '@postern/service';

import { Connections, ownerOf } from '../connections.ts';
import { Credentials } from '../credentials.ts';
import { LeaseRecords } from '../lease/lease-records.ts';
import { RefreshAsker } from '../lease/refresh-asker.ts';

/** What is asked: tokens for an exchange that stands in the log of the derived connection. */
export interface ExchangeRelease {
  readonly derived: Connection;
  readonly delegation: Delegation;
  readonly subject: ExchangeParty;
  readonly actor: ExchangeParty | null;
  /** To whom they are sealed. */
  readonly app: AppName;
  readonly correlationId: string;
  /** Wait for the refresh of one that has ended; otherwise it is asked for, and this is refused for now. */
  readonly waits: boolean;
}

interface OpenedToken {
  readonly accessToken: string;
  readonly grantedScopes: string[];
}

/** As it is sealed to the app that exchanges. */
export interface OpenedTokens {
  readonly subject: OpenedToken;
  readonly actor: OpenedToken | null;
}

/** What is asked: the identity of a subject, to be asserted to another server by the provider that issued it. */
export type IdentityRelease = Omit<ExchangeRelease, 'actor'>;

/** As it is sealed to the app that has it asserted. */
export interface OpenedIdentity {
  readonly idToken: string;
  /** Of the provider's file, by which the subject's connection is renewed. */
  readonly providerVersion: number | null;
}

/** How long an ID token must live on: it is shown at once. */
const idTokenLeadMs = 10_000;

/**
 * Opens the tokens of a subject and an actor, for one exchange and nothing else: each release is recorded as a lease of
 * that connection before it leaves, and looked at once more afterwards.
 *
 * @source RFC 8693 §2.1
 */
@Injectable()
export class ExchangeTokens {
  constructor(
    private readonly clock: Clock,
    private readonly connections: Connections,
    private readonly credentials: Credentials,
    private readonly records: LeaseRecords,
    private readonly refreshes: RefreshAsker,
  ) {}

  /**
   * @throws {PosternError} `connection.delegation_ended`, `connection.delegation_refused`; `refresh.unavailable` while a
   *   token has ended and is being refreshed
   */
  async open(release: ExchangeRelease): Promise<OpenedTokens> {
    const { delegation, subject, actor } = release;
    requireNamed(delegation, { subject, actor });
    const chain = await this.#chain(release);
    const opened = {
      subject: await this.#open(release, subject, chain),
      actor: actor === null ? null : await this.#open(release, actor, chain),
    };
    await this.#chain(release);
    return opened;
  }

  /**
   * The ID token of a subject. One that has ended is had anew with the subject's own refresh, under its own claim: no
   * refresh token ever leaves for this.
   *
   * @throws {PosternError} as {@link open}; `connection.delegation_refused` where the subject holds none
   * @source draft-ietf-oauth-identity-assertion-authz-grant-04 §4.3
   */
  async openIdentity(release: IdentityRelease): Promise<OpenedIdentity> {
    const { delegation, subject } = release;
    requireNamed(delegation, { subject, actor: null });
    const chain = await this.#chain(release);
    const opened = await this.#openIdentity(release, chain);
    await this.#chain(release);
    return opened;
  }

  async #openIdentity(release: IdentityRelease, chain: DelegationChain): Promise<OpenedIdentity> {
    const { subject, waits } = release;
    const { connectionId } = subject;
    const first = await this.#identityOf(release, chain);
    if (first.idToken !== undefined) return await this.#recorded(release, first, first.idToken);
    const { tenantId, platformId } = release.derived;
    const { credentialVersion } = first;
    const asking = this.refreshes.ask({ tenantId, platformId, connectionId, credentialVersion });
    if (!waits) throw new PosternError('refresh.unavailable', `The ID token of ${connectionId} is being renewed.`);
    await asking;
    const second = await this.#identityOf(release, chain);
    if (second.idToken !== undefined) return await this.#recorded(release, second, second.idToken);
    throw new PosternError(
      'connection.delegation_refused',
      `${connectionId} holds no ID token that lives: authorize it again with the scope openid, at a provider that exchanges tokens.`,
    );
  }

  /** What the newest version of the subject holds. */
  async #identityOf({ derived, subject }: IdentityRelease, chain: DelegationChain) {
    const { connectionId } = subject;
    const { tenantId, platformId } = derived;
    const { state, position } = await this.connections.load({ tenantId, id: connectionId }, { fromLeader: true });
    requireWhereItWas(state, subject);
    const nowMs = this.clock.nowMs();
    const { credentialVersion } = leaseDecision(state, { nowMs, tenantId, platformId, chain });
    const { identity } = await this.credentials.openAccess(ownerOf(state), credentialVersion);
    const lives = identity !== undefined && identity.expiresAtMs > nowMs + idTokenLeadMs;
    const providerVersion = state.credential?.providerVersion ?? null;
    return { position, credentialVersion, providerVersion, idToken: lives ? identity.idToken : undefined };
  }

  async #recorded(
    release: IdentityRelease,
    { providerVersion, ...at }: { credentialVersion: number; position: number; providerVersion: number | null },
    idToken: string,
  ): Promise<OpenedIdentity> {
    const { derived, subject } = release;
    await this.#record(release, subject, { ...at, purpose: `identity assertion for ${derived.connectionId}` });
    return { idToken, providerVersion };
  }

  async #chain({
    derived: { tenantId },
    delegation,
  }: Pick<ExchangeRelease, 'derived' | 'delegation'>): Promise<DelegationChain> {
    const chain = await loadDelegationChain(
      delegation,
      async (id) => (await this.connections.load({ tenantId, id }, { fromLeader: true })).state,
    );
    requireDelegation(chain);
    return chain;
  }

  async #open(release: ExchangeRelease, party: ExchangeParty, chain: DelegationChain): Promise<OpenedToken> {
    const { state, position, credentialVersion } = await this.#living(release, party, chain);
    const owner = ownerOf(state);
    const { accessToken, grantedScopes } = await this.credentials.openAccess(owner, credentialVersion);
    const purpose = `exchange for ${release.derived.connectionId}`;
    await this.#record(release, party, { credentialVersion, position, purpose });
    return { accessToken, grantedScopes };
  }

  /** As a lease of that connection is. */
  async #record(
    { derived: { tenantId, platformId }, app, correlationId }: IdentityRelease,
    { connectionId }: ExchangeParty,
    at: { readonly credentialVersion: number; readonly position: number; readonly purpose: string },
  ): Promise<void> {
    await this.records.record({
      ...{ leaseId: newId('lease'), at: timestampOf(this.clock.nowMs()) },
      ...{ tenantId, platformId, agentId: app, connectionId, scopes: null },
      ...{ outcome: 'granted', code: null, correlationId, ...at },
    });
  }

  /** The connection with a token that lives, by the rules of a lease. */
  async #living(release: ExchangeRelease, party: ExchangeParty, chain: DelegationChain) {
    const { tenantId, platformId } = release.derived;
    const { connectionId } = party;
    const decide = async () => {
      const { state, position } = await this.connections.load({ tenantId, id: connectionId }, { fromLeader: true });
      requireWhereItWas(state, party);
      const decision = leaseDecision(state, { nowMs: this.clock.nowMs(), tenantId, platformId, chain });
      return { state, position, decision };
    };
    const first = await decide();
    const { credentialVersion } = first.decision;
    if (first.decision.kind === 'grant') return { ...first, credentialVersion };
    const asking = this.refreshes.ask({ tenantId, platformId, connectionId, credentialVersion });
    if (release.waits) await asking;
    const second = await decide();
    if (second.decision.kind === 'grant') return { ...second, credentialVersion: second.decision.credentialVersion };
    throw new PosternError('refresh.unavailable', `The token of ${connectionId} has ended and is being refreshed.`);
  }
}

/** What rests sealed and what stands in the log were said by the same app at the same time. */
function requireNamed(
  { subjectConnectionId, actorConnectionId }: Delegation,
  { subject, actor }: Pick<ExchangeRelease, 'subject' | 'actor'>,
): void {
  if (subject.connectionId === subjectConnectionId && (actor?.connectionId ?? null) === actorConnectionId) return;
  throw new PosternError('connection.delegation_refused', 'The log names other connections than these.');
}

/** A token is shown to the server that issued it, and to no other that its connection may have moved away from. */
function requireWhereItWas(state: Connection, { connectionId, registrationId }: ExchangeParty): void {
  if (state.registrationId === registrationId) return;
  const message = `The connection ${connectionId} is one of another client registration than before.`;
  throw new PosternError('connection.delegation_refused', message);
}
