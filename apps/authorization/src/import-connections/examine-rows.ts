import { Injectable } from '@nestjs/common';
import { derivedId, ImportedTokens, isPosternError, PosternError, type ImportRow } from '@postern/contracts';
import { CryptoError, Secret, zero } from '@postern/crypto';
import { startImport, type Connection, type Platform, type Registration } from '@postern/domain';
import { requireGrantType, type Provider } from '@postern/provider-catalog';
import { bindsTokens } from '@postern/provider-client';
import { Clock, eachOf, ServiceKeys } from '@postern/service';

import { authorizationLimits } from '../authorization-limits.ts';
import { Digests } from '../digests.ts';
import { Directory } from '../directory/directory.ts';
import { ProviderClients } from '../providers/provider-clients.ts';
import { Connections } from '../sessions/connections.ts';
import { MayUse } from '../start-session/may-use.ts';
import { assertScopes } from '../start-session/session-starter.ts';

/** A connection that can be imported. */
export interface Importable {
  readonly kind: 'importable';
  readonly reference: string;
  readonly connectionId: string;
  readonly registration: Registration;
  readonly provider: Provider;
  readonly endUserDigest: string;
  readonly scopes: readonly string[];
  readonly returnUrl: string | undefined;
  readonly tokens: ImportedTokens;
  readonly accountDigest: string | null;
  readonly accountKeys: Record<string, string> | undefined;
}

/** What was found out about a row of an import. */
export type ExaminedRow =
  | Importable
  | {
      readonly kind: 'existing';
      readonly reference: string;
      readonly connection: Connection;
      readonly position: number;
    }
  | { readonly kind: 'refused'; readonly reference: string; readonly error: PosternError };

/** Looks at the rows of an import, each by itself and beside the others, and writes nothing. */
@Injectable()
export class ExamineRows {
  readonly #keys: ServiceKeys;
  readonly #connections: Connections;
  readonly #directory: Directory;
  readonly #digests: Digests;
  readonly #providers: ProviderClients;
  readonly #mayUse: MayUse;
  readonly #clock: Clock;

  constructor(
    keys: ServiceKeys,
    connections: Connections,
    directory: Directory,
    digests: Digests,
    providers: ProviderClients,
    mayUse: MayUse,
    clock: Clock,
  ) {
    this.#keys = keys;
    this.#connections = connections;
    this.#directory = directory;
    this.#digests = digests;
    this.#providers = providers;
    this.#mayUse = mayUse;
    this.#clock = clock;
  }

  /**
   * Where the catalog knows a call that tells whether an access token lives, it is made: no refresh token is spent.
   *
   * @returns as many as there are rows, in their order
   * @throws {PosternError} `log.*`, `service.not_ready`: what says nothing about a row
   */
  async examine(rows: readonly ImportRow[], platform: Platform): Promise<ExaminedRow[]> {
    const seen = new Seen();
    const examined = new Map<ImportRow, ExaminedRow>();
    await eachOf(rows, authorizationLimits.importInFlightMax, async (row) => {
      examined.set(row, await this.#row(row, { platform, seen }));
    });
    return rows.flatMap((row) => examined.get(row) ?? []);
  }

  async #row(row: ImportRow, beside: { readonly platform: Platform; readonly seen: Seen }): Promise<ExaminedRow> {
    const { reference } = row;
    try {
      return await this.#found(row, beside);
    } catch (error) {
      if (!isPosternError(error) || saysNothingOfARow(error)) throw error;
      return { kind: 'refused', reference, error };
    }
  }

  async #found(
    row: ImportRow,
    { platform, seen }: { readonly platform: Platform; readonly seen: Seen },
  ): Promise<ExaminedRow> {
    const { tenantId, platformId } = platform;
    const { reference, end_user: endUser, scopes, return_url: returnUrl } = row;
    const tokens = this.#open(row.sealed_tokens, tenantId);
    seen.require(reference, tokens);
    const { registration_id: registrationId, provider: providerId } = row;
    const registration = await this.#directory.activeRegistration({ tenantId, registrationId, providerId });
    const connectionId = derivedId('connection', this.#digests.imported({ tenantId, platformId }, reference));
    const provider = this.#providers.forSession(registration, { connectionId, pinned: null });
    requireHolds(provider, registration);
    assertScopes(scopes, registration.scopes);
    if (returnUrl !== undefined && !platform.returnUrls.includes(returnUrl)) {
      throw new PosternError('session.return_url_unknown', 'The return_url is none of the registered ones.');
    }
    await this.#mayUse.require({ tenantId, registration, provider, scopes });
    const endUserDigest = this.#digests.endUser({ tenantId, platformId, endUser });
    const known = { reference, connectionId, registration, provider, endUserDigest, scopes, returnUrl, tokens };
    const { state, position } = await this.#connections.load({ tenantId, id: connectionId }, { fromLeader: true });
    const nowMs = this.#clock.nowMs();
    const attempt = { sessionId: '', expiresAtMs: nowMs + 1, nowMs };
    if (startImport({ ...beginningOf(known, platformId), ...attempt }, state).length === 0) {
      return { kind: 'existing', reference, connection: state, position };
    }
    return { kind: 'importable', ...known, ...(await this.#accountOf(known, row.subject)) };
  }

  /** Is the access token what it is said to be, and whose is it? */
  async #accountOf(
    { registration, provider, tokens }: Pick<Importable, 'registration' | 'provider' | 'tokens'>,
    subject: string | undefined,
  ): Promise<Pick<Importable, 'accountDigest' | 'accountKeys'>> {
    const { tenantId, providerId } = registration;
    const client = this.#providers.withoutCredentials(registration, provider.version);
    const refreshToken = tokens.refresh_token === undefined ? null : Secret.from(tokens.refresh_token);
    const accessToken = hasEnded(tokens, this.#clock.nowMs()) ? null : Secret.from(tokens.access_token);
    if (accessToken === null && refreshToken === null) {
      throw malformed('The access token has ended, and there is no refresh token: the end user must connect anew.');
    }
    if (accessToken !== null && provider.api.tokenProbe !== null) requireAlive(await client.probe(accessToken));
    const accountKeys = await client.accountKeysOf({ accessToken, refreshToken });
    const account = subject === undefined ? null : { issuer: (await client.discover()).issuer, subject };
    return {
      accountDigest: this.#digests.account(tenantId, account),
      accountKeys: this.#digests.accountKeys({ tenantId, providerId }, accountKeys),
    };
  }

  /** The tenant in the seal is authenticated: what was sealed for one is good for no other. */
  #open(sealed: string, tenantId: string): ImportedTokens {
    try {
      const { plaintext, protectedHeader } = this.#keys.opener.open(sealed);
      try {
        const parsed = ImportedTokens.safeParse(JSON.parse(plaintext.toString('utf8')));
        if (parsed.success && protectedHeader['ten'] === tenantId) return parsed.data;
      } finally {
        zero(plaintext);
      }
    } catch (error) {
      // What a parser says may quote what it parsed.
      if (!(error instanceof CryptoError) && !(error instanceof SyntaxError)) throw error;
    }
    throw malformed('The tokens are none that were sealed to authorization for this tenant.');
  }
}

/** What no two rows of an import may have in common. */
class Seen {
  readonly #references = new Set<string>();
  readonly #tokens = new Set<string>();

  /** @throws {PosternError} `request.malformed` */
  require(reference: string, { access_token: accessToken, refresh_token: refreshToken }: ImportedTokens): void {
    if (this.#references.has(reference)) throw malformed('Another row has the same reference.');
    this.#references.add(reference);
    const tokens = [accessToken, ...(refreshToken === undefined ? [] : [refreshToken])];
    if (tokens.some((token) => this.#tokens.has(token))) throw malformed('Another row has the same token.');
    for (const token of tokens) this.#tokens.add(token);
  }
}

/** What the log says of an import's connection before it is decided that it counts. */
export function beginningOf(
  {
    registration,
    provider,
    endUserDigest,
    scopes,
    returnUrl,
  }: Omit<Importable, 'kind' | 'accountDigest' | 'accountKeys'>,
  platformId: string,
) {
  const { registrationId, providerId } = registration;
  return {
    ...{ platformId, providerId, registrationId, endUserDigest, requestedScopes: [...scopes] },
    ...{ providerVersion: provider.version, ...(returnUrl !== undefined && { returnUrl }) },
  };
}

function requireHolds(provider: Provider, registration: Registration): void {
  if (provider.credential !== null) {
    throw new PosternError(
      'provider.flow_unsupported',
      `Credentials of ${provider.name} are made by hand: establish each by itself (--grant static).`,
    );
  }
  requireGrantType(provider, 'authorization_code');
  if (!bindsTokens(provider, registration)) return;
  throw new PosternError(
    'provider.flow_unsupported',
    'Tokens of this registration are bound to keys, and those of another broker to keys that are not here.',
  );
}

function requireAlive(probed: Awaited<ReturnType<ReturnType<ProviderClients['withoutCredentials']>['probe']>>): void {
  const { error, httpStatus } = probed;
  if (probed.kind === 'failed' && probed.retryable) {
    throw new PosternError('provider.unreachable', `The provider could not be asked: ${error}.`);
  }
  // A 403 may mean no more than that the call wants another scope; without a status there was no call.
  if (probed.kind === 'alive' || (probed.kind === 'failed' && (httpStatus === 403 || httpStatus === null))) return;
  throw new PosternError(
    'provider.rejected',
    `The provider does not take the access token: ${error ?? `http_${httpStatus}`}.`,
  );
}

function hasEnded({ expires_at: expiresAt }: ImportedTokens, nowMs: number): boolean {
  return expiresAt !== undefined && Date.parse(expiresAt) <= nowMs;
}

function saysNothingOfARow({ code }: PosternError): boolean {
  return code.startsWith('log.') || code.startsWith('service.') || code.startsWith('bus.');
}

function malformed(why: string): PosternError {
  return new PosternError('request.malformed', why);
}
