import type { ProfileAnswer, ProfileRequest } from './profile.ts';

/** What somebody is shown who makes a credential at a provider by hand. */
export type MadeSecret = { readonly api_key: string } | { readonly username: string; readonly password: string };

/** What one provider does with credentials that are made by hand; written, as its profile is, from its documents. */
export interface KeyProfile {
  readonly id: string;
  readonly name: string;
  /** The catalog's provider that has to get along with it. */
  readonly provider: string;
  /** Where it is from. */
  readonly documents: readonly string[];
  readonly client: { readonly parameters?: Readonly<Record<string, string>> };
  /** What its page shows once. */
  readonly make: (random: string) => MadeSecret;
  /** What a request must show for it. */
  readonly shown: (made: MadeSecret) => string;
  /** What a request shows, in the same words; null where it shows nothing of this kind. */
  readonly shownBy: (request: ProfileRequest) => string | null;
  /** A call of the API that shows whether it is alive. */
  readonly api: { readonly at: string; readonly alive: unknown; readonly dead: ProfileAnswer };
}
