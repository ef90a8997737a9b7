import { decodeBase64url, Secret } from '@postern/crypto';
import { z } from 'zod';
import { Field } from './config-field.ts';

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Any text, trimmed and not empty. */
export function text(): Field<string> {
  return new Field({ source: 'variable', schema: z.string().trim().min(1, 'must not be empty') });
}

/** A whole number in decimal digits, within bounds (both included). */
export function integer({ min, max }: { min: number; max: number }): Field<number> {
  const inRange = (value: number) => value >= min && value <= max;
  const schema = z
    .string()
    .regex(/^-?\d{1,15}$/, 'must be a whole number')
    .transform(Number)
    .refine(inRange, `must lie between ${min} and ${max}`);
  return new Field({ source: 'variable', schema });
}

/** `true` or `false`, in these words only: what is unsafe is switched on knowingly. */
export function flag(): Field<boolean> {
  const schema = z.enum(['true', 'false'], 'must be true or false').transform((word) => word === 'true');
  return new Field({ source: 'variable', schema });
}

/** One of a few words. */
export function choice<const W extends string>(words: readonly W[]): Field<W> {
  return new Field({ source: 'variable', schema: z.enum(words, `must be one of ${words.join(', ')}`) });
}

/**
 * A length of time with its unit (`250ms`, `30s`, `5m`, `1h`), in milliseconds; its property ends in `Ms`, its
 * variable does not.
 *
 * A bare number is refused: whoever writes 30 means seconds as often as milliseconds.
 */
export function duration({ minMs, maxMs }: { minMs: number; maxMs: number }): Field<number> {
  const schema = z
    .string()
    .regex(/^\d{1,12}(ms|s|m|h)$/, 'needs a number and its unit, like 250ms, 30s, 5m or 1h')
    .transform(milliseconds)
    .refine((ms) => ms >= minMs && ms <= maxMs, `must lie between ${minMs}ms and ${maxMs}ms`);
  return new Field({ source: 'variable', schema, strip: 'Ms' });
}

function milliseconds(written: string): number {
  const digits = Number.parseInt(written, 10);
  const unit = written.replace(/^\d+/, '');
  return digits * (unitsMs[unit] ?? Number.NaN);
}

/** A secret, read from the file that `…_FILE` names, which nobody but its owner may read. */
export function secretFile(): Field<Secret> {
  const schema = z
    .string()
    .min(1, 'names an empty file')
    .transform((content) => Secret.from(content));
  return new Field({ source: 'secret_file', schema });
}

/** A secret in a file, parsed once: a private key becomes a signer and its text is dropped. */
export function secretFileOf<T>(parse: (content: Secret) => T, expected: string): Field<T> {
  return new Field({
    source: 'secret_file',
    schema: z.string().transform(parsed(expected, (content) => parse(Secret.from(content)))),
  });
}

const keyBytes = 32;

/** A symmetric key in a file: 32 bytes in base64url. */
export function keyFile(): Field<Secret<Uint8Array>> {
  return secretFileOf((content) => {
    const key = decodeBase64url(content.reveal());
    if (key?.byteLength !== keyBytes) throw new TypeError('not a key');
    return Secret.from(new Uint8Array(key));
  }, `${keyBytes} bytes in base64url`);
}

/** A file that everybody may read, like the trust bundle. */
export function publicFileOf<T>(parse: (content: string) => T, expected: string): Field<T> {
  return new Field({ source: 'public_file', schema: z.string().transform(parsed(expected, parse)) });
}

/** What a parser of somebody else says about a secret may quote it: only what was expected is told. */
function parsed<T>(expected: string, parse: (content: string) => T) {
  return (content: string, context: z.RefinementCtx): T => {
    try {
      return parse(content);
    } catch {
      context.issues.push({ code: 'custom', message: `does not hold ${expected}`, input: undefined });
      return z.NEVER;
    }
  };
}
