import { limits } from '@postern/contracts';
import type { Secret } from '@postern/crypto';

/** A refusal as the provider put it, fit to be stored: bounded, printable, free of secrets. */
export interface ProviderWords {
  readonly error: string | null;
  readonly errorDescription: string | null;
}

/** More than this of a text is not looked at; what is kept is far shorter. */
const readCharsMax = 4_096;
/** A piece of a secret as long as this gives it away: servers repeat tokens cut short. */
const pieceChars = 12;
/** Texts that look like a token though we never saw it: a new one, or another user's. @source RFC 7519 §3 */
const tokenLike = [/eyJ[\w-]{8,}(?:\.[\w-]*)+/g, /(?=[\w~+=.-]*\d)(?=[\w~+=.-]*[A-Za-z])[\w~+=.-]{48,}/g];

/**
 * Keeps a provider's `error` and its description; `message` stands for the latter where a provider calls it so.
 *
 * Some servers repeat the request in their description; a secret of ours must not come back that way into an event.
 *
 * @param words what the provider wrote at the place of its own that decided
 * @source RFC 6749 §5.2
 */
export function providerWords(body: unknown, words: string | null, secrets: readonly Secret[]): ProviderWords {
  const record: object = typeof body === 'object' && body !== null ? body : {};
  const at = (name: string) => wordOf(Object.hasOwn(record, name) ? Reflect.get(record, name) : undefined, secrets);
  return {
    error: at('error') ?? wordOf(words, secrets),
    errorDescription: at('error_description') ?? at('message'),
  };
}

/** @returns null for anything but a text with something in it. */
export function wordOf(value: unknown, secrets: readonly Secret[] = []): string | null {
  if (typeof value !== 'string') return null;
  const known = withoutSecrets(value.slice(0, readCharsMax), secrets);
  const without = tokenLike.reduce((text, pattern) => text.replace(pattern, hidden), known);
  const printable = without.replace(/[\s\p{Cc}\p{Cf}\p{Cs}]+/gu, ' ').trim();
  return printable === '' ? null : printable.slice(0, limits.providerWordsCharsMax);
}

const hidden = '[secret]';

/** Hides every stretch of the text that is a piece of a secret, as it is or as a URL spells it. */
function withoutSecrets(text: string, secrets: readonly Secret[]): string {
  const pieces = new Set(secrets.map((secret) => secret.reveal()).flatMap(piecesOf));
  const lengths = new Set([...pieces].map(({ length }) => length));
  let kept = '';
  let hiddenUntil = 0;
  for (let at = 0; at < text.length; at += 1) {
    const found = [...lengths].filter((length) => pieces.has(text.slice(at, at + length)));
    if (found.length > 0) {
      if (at >= hiddenUntil) kept += hidden;
      hiddenUntil = Math.max(hiddenUntil, at + Math.max(...found));
    }
    if (at >= hiddenUntil) kept += text[at];
  }
  return kept;
}

function piecesOf(secret: string): string[] {
  if (secret.length < 4) return [];
  return [secret, encodeURIComponent(secret)].flatMap((form) => {
    const length = Math.min(form.length, pieceChars);
    return Array.from({ length: form.length - length + 1 }, (_, at) => form.slice(at, at + length));
  });
}
