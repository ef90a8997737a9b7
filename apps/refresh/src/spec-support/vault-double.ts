import { newId, operations, PosternError, TokenSet, type RequestOf } from '@postern/contracts';
import { opener, sealJwe, Secret, type Opener } from '@postern/crypto';
import { claimReleased, refreshOutcomeWelcome, releaseRefreshToken, type Connection } from '@postern/domain';
import type { Repository } from '@postern/event-log';
import type { ConnectionEvent } from '@postern/contracts';
import { endpoint, serveOperations, type ServedOperations } from '@postern/nats';

import type { World } from './world.ts';

interface Row {
  readonly version: number;
  readonly boughtBy: string;
  readonly credentialId: string;
  readonly tokenSet: TokenSet;
  readonly rotated: boolean;
}

type StoreRequest = RequestOf<typeof operations.storeCredential>;
type ReleaseRequest = RequestOf<typeof operations.releaseRefreshToken>;

/**
 * Stands in for the vault, because apps never import apps: the operations `refresh` uses, served over the real bus,
 * sealed and signed with the vault's own keys, rows in memory instead of PostgreSQL.
 */
export class VaultDouble {
  readonly rows = new Map<string, Row[]>();
  clientSecret = '';
  readonly #world: World;
  readonly #connections: Repository<Connection, ConnectionEvent>;
  readonly #opener: Opener;
  #served: ServedOperations | undefined;
  #gate: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  #held = 0;

  private constructor(world: World, connections: Repository<Connection, ConnectionEvent>) {
    this.#world = world;
    this.#connections = connections;
    this.#opener = opener(world.keys('vault').sealing.privateJwk);
  }

  static async start(world: World): Promise<VaultDouble> {
    const vault = new VaultDouble(world, await world.connections('vault'));
    vault.#served = await serveOperations(await world.bus('vault'), {
      name: 'vault',
      version: '0.0.0',
      checkReplies: true,
      endpoints: [
        endpoint(operations.releaseClientSecret, () => ({ ...vault.#sealedSecret(), secret_version: 1 })),
        endpoint(operations.releaseRefreshToken, (request) => vault.#release(request)),
        endpoint(operations.storeCredential, (request) => vault.#store(request)),
        endpoint(operations.findCredential, ({ connection_id: id, bought_by: buyer }) => {
          const row = vault.rowsOf(id).find(({ boughtBy }) => boughtBy === buyer);
          return {
            found: row !== undefined,
            credential_version: row?.version ?? null,
            access_token_expires_at_ms: row?.tokenSet.accessTokenExpiresAtMs ?? null,
            granted_scopes: row?.tokenSet.grantedScopes ?? [],
            refresh_token_rotated: row?.rotated ?? false,
          };
        }),
      ],
    });
    return vault;
  }

  rowsOf(connectionId: string): Row[] {
    return this.rows.get(connectionId) ?? [];
  }

  /** Writes a version, as a session or a claim bought it. */
  insert(connectionId: string, boughtBy: string, tokenSet: TokenSet): Row {
    const rows = this.rowsOf(connectionId);
    const rotated = rows.at(-1)?.tokenSet.refreshToken !== tokenSet.refreshToken;
    const row = {
      version: (rows.at(-1)?.version ?? 0) + 1,
      boughtBy,
      credentialId: newId('credential'),
      tokenSet,
      rotated,
    };
    this.rows.set(connectionId, [...rows, row]);
    return row;
  }

  /** Lets every store wait until `letStoresGo`. */
  holdStores(): void {
    this.#gate = Promise.withResolvers();
  }

  letStoresGo(): void {
    this.#gate?.resolve();
    this.#gate = undefined;
  }

  /** How many stores wait. */
  get held(): number {
    return this.#held;
  }

  async stop(): Promise<void> {
    await this.#served?.stop();
  }

  async #release({ tenant_id: tenantId, connection_id: id, claim_id: claimId, claim }: ReleaseRequest) {
    const options = { actor: { type: 'service' as const, id: 'vault' }, correlationId: newId('correlation') };
    const { state, position } = await this.#connections.execute(
      { tenantId, id },
      (current, { nowMs }) =>
        claim === undefined
          ? releaseRefreshToken({ claimId, nowMs }, current)
          : claimReleased(
              { claimId, claimTimeoutMs: claim.timeout_ms, credentialVersion: claim.credential_version, nowMs },
              current,
            ),
      { ...options, fromLeader: true },
    );
    const version = state.credential?.version ?? 0;
    const row = this.rowsOf(id).find((one) => one.version === version);
    if (row === undefined) throw new PosternError('vault.credential_missing', 'No such version.');
    const { refreshToken, renewal, grantedScopes } = row.tokenSet;
    const sealed = this.#sealed(JSON.stringify({ ...(renewal ? { renewal } : { refreshToken }), grantedScopes }));
    return { sealed_refresh_token: sealed, credential_version: version, position };
  }

  async #store({ tenant_id: tenantId, connection_id: id, bought_by: claimId, sealed_token_set: sealed }: StoreRequest) {
    const tokenSet = TokenSet.parse(JSON.parse(this.#opener.open(sealed).plaintext.toString('utf8')));
    this.#held += 1;
    await this.#gate?.promise;
    this.#held -= 1;
    const { state } = await this.#connections.load({ tenantId, id }, { fromLeader: true });
    const known = this.rowsOf(id).find(({ boughtBy }) => boughtBy === claimId);
    if (known === undefined && !refreshOutcomeWelcome(state, { claimId })) {
      throw new PosternError('vault.version_stale', 'Not welcome.');
    }
    const row = known ?? this.insert(id, claimId, tokenSet);
    return { credential_id: row.credentialId, credential_version: row.version };
  }

  #sealedSecret() {
    return { sealed_secret: this.#sealed(Secret.from(this.clientSecret).reveal()) };
  }

  #sealed(text: string): string {
    const { publicJwk: recipient } = this.#world.keys('refresh').sealing;
    return sealJwe({ recipient, plaintext: Buffer.from(text, 'utf8') });
  }
}
