/** A form of a page, with what it would send if it were submitted untouched. */
export interface HtmlForm {
  readonly method: 'GET' | 'POST';
  /** Absolute. */
  readonly action: string;
  readonly fields: readonly HtmlField[];
  readonly buttons: readonly HtmlButton[];
}

export interface HtmlField {
  readonly name: string;
  readonly type: string;
  readonly value: string;
}

/** A submit button; one without a name sends nothing of its own. */
export interface HtmlButton {
  readonly name: string;
  readonly value: string;
  readonly text: string;
}

/**
 * Finds the forms of a page that a person could submit without scripts.
 *
 * Reads well-formed server-rendered markup, which is all that these pages are: not a parser for the web.
 */
export function parseForms(html: string, pageUrl: string): HtmlForm[] {
  const markup = html.replace(/<!--[\s\S]*?-->/g, '');
  return [...markup.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)].map(([, tag = '', inner = '']) => {
    const attributes = attributesOf(tag);
    return {
      method: attributes.get('method')?.toUpperCase() === 'POST' ? 'POST' : 'GET',
      action: new URL(attributes.get('action') || pageUrl, pageUrl).href,
      fields: fieldsOf(inner),
      buttons: buttonsOf(inner),
    };
  });
}

function fieldsOf(markup: string): HtmlField[] {
  return [...markup.matchAll(/<input\b([^>]*)>/gi)].flatMap(([, tag = '']) => {
    const attributes = attributesOf(tag);
    const name = attributes.get('name');
    const type = attributes.get('type')?.toLowerCase() ?? 'text';
    const unticked = (type === 'checkbox' || type === 'radio') && !attributes.has('checked');
    if (!name || unticked || type === 'submit' || attributes.has('disabled')) return [];
    return [{ name, type, value: attributes.get('value') ?? (type === 'checkbox' ? 'on' : '') }];
  });
}

function buttonsOf(markup: string): HtmlButton[] {
  const inputs = [...markup.matchAll(/<input\b([^>]*)>/gi)]
    .map(([, tag = '']) => attributesOf(tag))
    .filter((attributes) => attributes.get('type')?.toLowerCase() === 'submit')
    .map((attributes) => buttonFrom(attributes, attributes.get('value') ?? 'Submit'));
  const buttons = [...markup.matchAll(/<button\b([^>]*)>([\s\S]*?)<\/button>/gi)]
    .map(([, tag = '', inner = '']) => ({ attributes: attributesOf(tag), inner }))
    .filter(({ attributes }) => !['button', 'reset'].includes(attributes.get('type') ?? 'submit'))
    .map(({ attributes, inner }) => buttonFrom(attributes, textOf(inner)));
  return [...inputs, ...buttons];
}

function buttonFrom(attributes: Map<string, string>, text: string): HtmlButton {
  return { name: attributes.get('name') ?? '', value: attributes.get('value') ?? '', text };
}

function attributesOf(tag: string): Map<string, string> {
  const pattern = /([^\s"'>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g;
  return new Map(
    [...tag.matchAll(pattern)].map(([, name = '', double, single, bare]) => [
      name.toLowerCase(),
      unescapeHtml(double ?? single ?? bare ?? ''),
    ]),
  );
}

/** The words of a piece of markup, as a person reads them. */
export function textOf(markup: string): string {
  const withoutHead = markup.replace(/<(head|style|script)\b[\s\S]*?<\/\1>/gi, ' ');
  return unescapeHtml(withoutHead.replace(/<[^>]*>/g, ' '))
    .replace(/\s+/g, ' ')
    .trim();
}

const namedEntities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' };

function unescapeHtml(text: string): string {
  return text.replace(/&(?:#x([\da-f]+)|#(\d+)|(\w+));/gi, (whole, hex?: string, decimal?: string, name?: string) => {
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16));
    if (decimal) return String.fromCodePoint(Number(decimal));
    return namedEntities[name ?? ''] ?? whole;
  });
}
