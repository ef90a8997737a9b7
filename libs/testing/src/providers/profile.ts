/** One end user's grant at a provider, as the provider keeps it. */
export interface ProfileGrant {
  readonly number: number;
  readonly profileId: string;
  readonly clientId: string;
  readonly scopes: readonly string[];
  readonly nonce: string | null;
  /** The key of the account is its number: everybody who authorizes is somebody else. */
  readonly account: number;
}

/** What a token endpoint is about to hand out. */
export interface ProfileTokens {
  readonly grant: ProfileGrant;
  readonly accessToken: string;
  /** Null where none is handed out, or the one of before stays. */
  readonly refreshToken: string | null;
  readonly isRefresh: boolean;
}

/** A request as a profile sees it. */
export interface ProfileRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The members of a form or of a JSON object. */
  readonly members: Readonly<Record<string, string>>;
  readonly format: 'form' | 'json' | 'none';
  readonly bearer: string | null;
  readonly basic: { readonly user: string; readonly password: string } | null;
}

export interface ProfileAnswer {
  readonly status: number;
  /** JSON; absent: no body. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Why a token endpoint says no. */
export type TokenRefusal = 'client' | 'code' | 'redirect_uri' | 'code_verifier' | 'refresh_token' | 'request';

/** How a client proves itself at an endpoint. */
export type ProfileClientAuthentication = 'basic' | 'post' | 'secret_as_user';

/** What one route of a profile may ask and do. */
export interface ProfileDesk {
  /** The grant of an access token that is alive. */
  grantOf(accessToken: string | null): ProfileGrant | undefined;
  /** The client whose secret this is. */
  clientWith(secret: string): { readonly clientId: string } | undefined;
  /** The grant to which a token belongs, whatever has become of either. */
  ownerOf(token: string): ProfileGrant | undefined;
  /** All grants of a client that are not over. */
  grantsOf(clientId: string): readonly ProfileGrant[];
  isAlive(token: string): boolean;
  endGrant(grant: ProfileGrant): void;
  endToken(token: string): void;
}

export interface ProfileRoute {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Where it is; `*` stands for one segment of the path. */
  readonly at: string;
  readonly answer: (request: ProfileRequest, desk: ProfileDesk) => ProfileAnswer | Promise<ProfileAnswer>;
}

/** A notice that somebody has taken an app's access away. */
export interface ProfileNotice {
  /** A text is sent as it is, anything else as JSON. */
  readonly body: unknown;
  /** @param text the body as it is sent */
  readonly headers: (text: string, secret: string) => Promise<Record<string, string>> | Record<string, string>;
}

/**
 * What one provider does, written from its documents and kept apart from the catalog: what stands in a provider's file
 * is tried against this, so a mistake in either shows.
 *
 * A profile demands what the provider demands and refuses what it would refuse; where the documents are silent it does
 * what is worst for a client.
 */
export interface ProviderProfile {
  readonly id: string;
  readonly name: string;
  /** The catalog's provider that has to get along with it. */
  readonly provider: string;
  /** Where it is from. */
  readonly documents: readonly string[];
  readonly client: {
    readonly parameters?: Readonly<Record<string, string>>;
    readonly scopes: readonly string[];
  };
  readonly authorization: {
    readonly at: string;
    /** Parameters without which it answers with an error page. */
    readonly wants?: Readonly<Record<string, string>>;
    /** Null where scopes are chosen elsewhere. */
    readonly scopes: { readonly parameter: string; readonly separator: string | RegExp } | null;
  };
  /** `checked`: a verifier that does not fit the challenge is refused; `ignored`: nobody looks. */
  readonly pkce: 'checked' | 'ignored';
  readonly token: {
    readonly at: string;
    readonly authentication: readonly ProfileClientAuthentication[];
    readonly formats: readonly ('form' | 'json')[];
  };
  /** Null: until it is revoked. */
  readonly accessTokenTtlS: number | null;
  readonly refresh: null | {
    readonly rotates: boolean;
    /** For so long a spent refresh token may be sent again. */
    readonly graceS: number;
    readonly reuseEndsGrant?: boolean;
    /** How long the access token of before lives on; absent: to its own end. */
    readonly oldAccessTokenLivesS?: number;
    /** Only where one of these scopes was granted. */
    readonly wantsScope?: string;
  };
  readonly tokenAnswer: (tokens: ProfileTokens) => object | Promise<object>;
  readonly refusal: (why: TokenRefusal) => ProfileAnswer;
  /** A call of the API that shows whether a token is alive. */
  readonly api: {
    readonly method?: 'GET' | 'POST';
    readonly at: string;
    readonly alive: (grant: ProfileGrant) => unknown;
    readonly dead: ProfileAnswer;
  };
  readonly routes: readonly ProfileRoute[];
  /** Can it be told that an authorization is over? */
  readonly revocable: boolean;
  /** What it sends when a person takes the app's access away; null where it sends nothing. */
  readonly notice: null | ((grant: ProfileGrant) => ProfileNotice | Promise<ProfileNotice>);
  /** Its notices are security events: who signs them, and where the keys are. @source RFC 8417, RFC 8935 */
  readonly transmitter?: { readonly issuer: string; readonly jwksUri: string };
  /** Why nobody can be found by its notices, where that is so. */
  readonly noticeFindsNobody?: string;
}
