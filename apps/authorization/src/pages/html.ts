import { createHash } from 'node:crypto';

/** Markup that may stand in a page as it is. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Markup with values in it; every value is escaped unless it is markup itself. */
export function html(parts: TemplateStringsArray, ...values: readonly (string | Html | readonly Html[])[]): Html {
  return new Html(parts.map((part, index) => part + (index < values.length ? shown(values[index]) : '')).join(''));
}

function shown(value: string | Html | readonly Html[] | undefined): string {
  if (value instanceof Html) return value.text;
  if (typeof value === 'string') return escaped(value);
  return (value ?? []).map(({ text }) => text).join('');
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  // Direction marks could make one name look like another.
  const plain = text.replace(/[\p{Cc}\p{Bidi_Control}]/gu, ' ');
  return plain.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

const style = `body{font:1.125rem/1.5 system-ui,sans-serif;margin:0;background:#f5f5f4;color:#1c1917}
main{max-width:34rem;margin:10vh auto;padding:2rem;background:#fff;border:1px solid #d6d3d1;border-radius:.5rem}
h1{font-size:1.5rem;line-height:1.25;margin-top:0}
button{font:inherit;padding:.6rem 1.5rem;border:0;border-radius:.4rem;background:#1d4ed8;color:#fff;cursor:pointer}
button:focus-visible{outline:3px solid #f59e0b;outline-offset:2px}
code{overflow-wrap:anywhere}.code{font:2rem/1.5 ui-monospace,monospace;letter-spacing:.1em}small{color:#57534e}`;

/** In one piece: the policy names the hash of exactly what stands between the tags. */
const styleElement = new Html(`<style>${style}</style>`);

/**
 * No script, nothing from elsewhere, no frame around it.
 *
 * There is no `form-action`: browsers apply it to the redirects after the form too, and where the provider sends its
 * own users is not known to us.
 */
export const pagePolicy = [
  `default-src 'none'`,
  `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
  `base-uri 'none'`,
  `frame-ancestors 'none'`,
].join('; ');

/** A whole page. @param refreshS after so many seconds it is asked for again */
export function page({ title, body, refreshS }: { title: string; body: Html; refreshS?: number }): string {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        ${refreshS === undefined ? html`` : html`<meta http-equiv="refresh" content="${String(refreshS)}" />`}
        <title>${title}</title>
        ${styleElement}
      </head>
      <body>
        <main>
          <h1>${title}</h1>
          ${body}
        </main>
      </body>
    </html> `.text;
}
