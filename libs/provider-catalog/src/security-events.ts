import { readFileSync } from 'node:fs';

import { PosternError, SignalMeaning } from '@postern/contracts';
import { parse } from 'yaml';
import { z } from 'zod';

import { factOf } from './fact.ts';

const securityEventsFile = new URL('../security-events.yaml', import.meta.url);

const SecurityEventsFile = z.strictObject({
  version: z.number().int().positive(),
  events: z
    .array(factOf(z.strictObject({ type: z.url().max(128), means: SignalMeaning })))
    .max(64)
    .refine((rows) => new Set(rows.map(({ value }) => value.type)).size === rows.length, 'two rows have one type'),
  transmitters: z
    .array(
      factOf(
        z.strictObject({
          id: z.string().regex(/^[a-z0-9-]{1,64}$/),
          issuer: z.url(),
          jwks_uri: z.url({ protocol: /^https$/ }),
          type_required: z.boolean(),
        }),
      ),
    )
    .max(32),
});

/** The types of security events that say something about grants, and what it is. */
export type SecurityEventMeanings = ReadonlyMap<string, SignalMeaning>;

/** A transmitter that is the same for everybody who has it. */
export interface KnownTransmitter {
  readonly issuer: string;
  readonly jwksUri: string;
  readonly typeRequired: boolean;
}

/**
 * What each type of security event means, whoever sends it; once, at start.
 *
 * @throws {PosternError} `provider.invalid`
 */
export function loadSecurityEvents(file?: URL): SecurityEventMeanings {
  return new Map(read(file).events.map(({ value }) => [value.type, value.means]));
}

/** Transmitters by a short name, for whoever configures one. @throws {PosternError} `provider.invalid` */
export function loadKnownTransmitters(file?: URL): ReadonlyMap<string, KnownTransmitter> {
  return new Map(
    read(file).transmitters.map(({ value: { id, issuer, jwks_uri: jwksUri, type_required: typeRequired } }) => [
      id,
      { issuer, jwksUri, typeRequired },
    ]),
  );
}

function read(file: URL = securityEventsFile): z.infer<typeof SecurityEventsFile> {
  const parsed = SecurityEventsFile.safeParse(parse(readFileSync(file, 'utf8')));
  if (parsed.success) return parsed.data;
  throw new PosternError('provider.invalid', `security-events.yaml: ${parsed.error.message}`);
}
