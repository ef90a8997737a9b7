/** A value that must not print, by shape: `Secret` of @postern/crypto is one. Plain text is taken as well. */
export type Revealable = string | { reveal(): string };

/** @internal */
export function revealed(value: Revealable): string {
  return typeof value === 'string' ? value : value.reveal();
}
