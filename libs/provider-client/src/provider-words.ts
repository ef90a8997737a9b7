import { limits } from '@postern/contracts';
import type { Secret } from '@postern/crypto';

/** A refusal as the provider put it, fit to be stored: bounded, printable, free of what we sent. */
export interface ProviderWords {
  readonly error: string | null;
  readonly errorDescription: string | null;
}

/**
 * Keeps a provider's `error` and `error_description`.
 *
 * Some servers repeat the request in their description; a secret of ours must not come back that way into an event.
 *
 * @source RFC 6749 §5.2
 */
export function providerWords(body: unknown, secrets: readonly Secret[]): ProviderWords {
  const record: object = typeof body === 'object' && body !== null ? body : {};
  return {
    error: wordOf('error' in record ? record.error : undefined, secrets),
    errorDescription: wordOf('error_description' in record ? record.error_description : undefined, secrets),
  };
}

/** @returns null for anything but a text with something in it. */
export function wordOf(value: unknown, secrets: readonly Secret[] = []): string | null {
  if (typeof value !== 'string') return null;
  const without = secrets.reduce((text, secret) => hide(text, secret.reveal()), value);
  const printable = without.replace(/[\s\p{Cc}\p{Cf}\p{Cs}]+/gu, ' ').trim();
  return printable === '' ? null : printable.slice(0, limits.providerWordsCharsMax);
}

function hide(text: string, secret: string): string {
  if (secret.length < 4) return text;
  return [secret, encodeURIComponent(secret)].reduce((rest, form) => rest.replaceAll(form, '[secret]'), text);
}
