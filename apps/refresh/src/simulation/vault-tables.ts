import type { TokenSet } from '@postern/contracts';

/** A stored version, opened. */
export interface Row {
  readonly version: number;
  readonly boughtBy: string;
  readonly tokenSet: TokenSet;
  readonly rotated: boolean;
}

/** The vault's tables: what is in them was committed. */
export class VaultTables {
  readonly #rows = new Map<string, Map<number, Row>>();

  newestVersion(connectionId: string): number {
    return Math.max(0, ...this.#of(connectionId).keys());
  }

  find(connectionId: string, version: number): Row | undefined {
    return this.#of(connectionId).get(version);
  }

  boughtBy(connectionId: string, buyer: string): Row | undefined {
    return [...this.#of(connectionId).values()].find((row) => row.boughtBy === buyer);
  }

  put(connectionId: string, row: Row, { forget }: { readonly forget: (version: number) => boolean }): void {
    const rows = this.#of(connectionId);
    rows.set(row.version, row);
    for (const version of rows.keys()) if (forget(version)) rows.delete(version);
    this.#rows.set(connectionId, rows);
  }

  #of(connectionId: string): Map<number, Row> {
    return this.#rows.get(connectionId) ?? new Map<number, Row>();
  }
}

/** What the log is told of a version. */
export function recordedAs({ version, tokenSet }: Row) {
  return {
    credentialVersion: version,
    grantedScopes: tokenSet.grantedScopes,
    accessTokenExpiresAtMs: tokenSet.accessTokenExpiresAtMs,
    hasRefreshToken: tokenSet.refreshToken !== null,
  };
}
