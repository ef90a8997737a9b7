import { z } from 'zod';

import { factOf } from './fact.ts';
import { KeyName, MemberPath } from './webhook-file.ts';

/** `{client_id}` and `{found}` stand for themselves, other names for parameters of the registration. */
const CallUrl = z
  .string()
  .max(2048)
  .regex(/^https:\/\/[^\s"'<>\\^`|#?]+$/, 'must be an https URL without query and fragment');

const Status = z.number().int().min(200).max(499);

/** An answer by which the provider says that there is nothing left to end. */
const Gone = z
  .strictObject({
    http_status: Status,
    /** Where in the body the words stand; without it the status alone decides. */
    member: MemberPath.optional(),
    words: z.array(z.string().min(1).max(128)).min(1).max(16).optional(),
    match: z.enum(['exact', 'contains']).default('exact'),
  })
  .refine(({ member, words }) => (member === undefined) === (words === undefined), 'member and words go together');

const Call = z.strictObject({
  method: z.enum(['POST', 'DELETE']),
  url: CallUrl,
  /** Asked first, with the access token: what stands at this place of the answer is `{found}` in the call. */
  find: z.strictObject({ url: CallUrl, member: MemberPath }).optional(),
  /** `client_basic`: id and secret. `client_secret`, `access_token`: that, as a bearer token. */
  authentication: z.enum(['client_basic', 'client_secret', 'access_token']),
  headers: z.record(z.string().regex(/^[a-z0-9-]+$/), z.string().min(1).max(256)).default({}),
  /** `{client_id}`, `{access_token}` and `{found}` stand for themselves. */
  body: z
    .strictObject({
      format: z.enum(['form', 'json']),
      members: z.record(z.string().min(1).max(64), z.string().min(1).max(256)),
    })
    .optional(),
  done: z.array(Status).min(1).max(4),
  /** What stands here makes a refusal of an answer whose status is one of `done`. */
  refused_member: MemberPath.optional(),
});

/** How the provider is told that an authorization is over. */
export const RevocationFile = z.strictObject({
  /**
   * What is over at the provider once it was told. `token`: what was named. `grant`: this authorization. `account`: each
   * authorization of the same account through this registration. `installation`: those of everybody for whom the app is
   * installed there. For the last two `keys` says which accounts are the same.
   */
  ends: factOf(
    z
      .strictObject({
        what: z.enum(['token', 'grant', 'account', 'installation']),
        keys: z.array(KeyName).max(4).default([]),
      })
      .refine(({ what, keys }) => keys.length === 0 || what === 'account' || what === 'installation', {
        message: 'keys stand only with account and installation',
      }),
  ),
  /** The provider's own endpoint; without it RFC 7009 at the revocation endpoint. */
  call: factOf(Call).optional(),
  gone: factOf(z.array(Gone).min(1).max(8)).optional(),
});
export type RevocationFile = z.infer<typeof RevocationFile>;

/** The templates of a call in which parameters of the registration may stand. */
export function revocationTemplates(file: RevocationFile | undefined): string[] {
  const call = file?.call?.value;
  return call === undefined ? [] : [call.url, ...(call.find === undefined ? [] : [call.find.url])];
}
