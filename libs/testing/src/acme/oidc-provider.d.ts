/** The part of oidc-provider that Acme CRM stands on: the package brings no types of its own. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http';

  export interface KoaContext {
    readonly method: string;
    readonly path: string;
    readonly req: IncomingMessage;
    readonly res: ServerResponse;
    readonly cookies: { set(name: string, value: string, options: Record<string, unknown>): void };
    readonly oidc?: {
      readonly client?: { readonly clientId: string };
      readonly entities?: { readonly RefreshToken?: { readonly grantId: string } };
      /** The form as it came. */
      readonly body?: Readonly<Record<string, string | undefined>>;
      readonly params?: Readonly<Record<string, string | undefined>>;
    };
    status: number;
    body: unknown;
    type: string;
    respond: boolean;
    get(header: string): string;
    set(header: string, value: string): void;
    redirect(url: string): void;
  }

  export type Middleware = (ctx: KoaContext, next: () => Promise<void>) => Promise<void> | void;

  export interface Interaction {
    readonly uid: string;
    readonly grantId?: string;
    readonly params: Readonly<Record<string, string | undefined>>;
    readonly session?: { readonly accountId: string };
    readonly prompt: {
      readonly name: string;
      readonly details: {
        readonly missingOIDCScope?: string[];
        readonly missingOIDCClaims?: string[];
        readonly missingResourceScopes?: Readonly<Record<string, string[]>>;
      };
    };
  }

  export interface Grant {
    addOIDCScope(scope: string): void;
    addResourceScope(resource: string, scope: string): void;
    addOIDCClaims(claims: string[]): void;
    save(): Promise<string>;
  }

  export interface Session {
    readonly id: string;
    readonly uid: string;
    readonly accountId?: string;
    loginAccount(details: { accountId: string }): void;
    resetIdentifier(): void;
    save(ttlS: number): Promise<string>;
  }

  export interface AccessToken {
    readonly accountId: string;
    readonly clientId: string;
    readonly grantId: string;
    readonly scopes: Set<string>;
    aud?: string | readonly string[];
    readonly exp: number;
    /** Seconds that it lives. */
    readonly expiration: number;
    readonly extra?: { readonly act?: Actor };
    save(): Promise<string>;
  }

  /** @source RFC 8693 §4.1 */
  export interface Actor {
    readonly sub: string;
    readonly act?: Actor;
  }

  export interface Client {
    readonly clientId: string;
    readonly clientName?: string;
  }

  export class Provider {
    constructor(issuer: string, configuration: Record<string, unknown>);
    readonly issuer: string;
    readonly Client: { find(id: string): Promise<Client | undefined> };
    readonly Session: { get(ctx: KoaContext): Promise<Session> };
    readonly AccessToken: {
      new (properties: Record<string, unknown>): AccessToken;
      find(value: string): Promise<AccessToken | undefined>;
    };
    readonly ClientCredentials: {
      find(value: string): Promise<Pick<AccessToken, 'clientId' | 'scopes' | 'aud' | 'exp'> | undefined>;
    };
    readonly Grant: {
      new (owner: { accountId: string; clientId: string }): Grant;
      find(id: string): Promise<Grant | undefined>;
    };
    use(middleware: Middleware): this;
    registerGrantType(
      name: string,
      handler: (ctx: KoaContext) => Promise<void>,
      parameters: readonly string[],
      duplicates?: readonly string[],
    ): void;
    callback(): (req: IncomingMessage, res: ServerResponse) => void;
    cookieName(kind: 'session' | 'interaction' | 'resume'): string;
    interactionDetails(req: IncomingMessage, res: ServerResponse): Promise<Interaction>;
    interactionFinished(
      req: IncomingMessage,
      res: ServerResponse,
      result: Record<string, unknown>,
      options: { mergeWithLastSubmission: boolean },
    ): Promise<void>;
    on(event: 'server_error', listener: (ctx: KoaContext, error: Error) => void): this;
  }

  export interface ProviderErrors {
    readonly InvalidRequest: new (description: string) => Error;
    readonly InvalidTarget: new () => Error;
    readonly InvalidGrant: new (detail: string) => Error;
  }

  export const errors: ProviderErrors;
}
