interface Cookie {
  readonly name: string;
  readonly value: string;
  readonly domain: string;
  readonly hostOnly: boolean;
  readonly path: string;
  readonly secure: boolean;
  readonly httpOnly: boolean;
  readonly sameSite: 'strict' | 'lax' | 'none';
  readonly expiresAtMs: number;
}

/** How a request comes about, as far as cookies care. */
export interface CookieUse {
  readonly method: string;
  /** The page whose form or link it is; absent when somebody typed the address. */
  readonly initiator?: URL | undefined;
}

/**
 * Cookies as real browsers keep them: by host and path, *not* by port, so two servers on 127.0.0.1 see each other's.
 *
 * The loopback counts as trustworthy, so `Secure` cookies work there without TLS, as in Chromium and Firefox. There
 * is no public suffix list: nothing here talks to public names.
 *
 * @source RFC 6265 §5, RFC 6265bis §5.5–5.8
 */
export class CookieJar {
  #cookies: Cookie[] = [];

  /** @effect keeps, replaces or forgets what the `Set-Cookie` lines of an answer from `url` say. */
  store(url: URL, setCookieLines: readonly string[]): void {
    for (const line of setCookieLines) {
      const cookie = parseSetCookie(url, line);
      if (!cookie) continue;
      this.#cookies = this.#cookies.filter((other) => !sameCookie(other, cookie));
      if (cookie.expiresAtMs > Date.now()) this.#cookies.push(cookie);
    }
  }

  /** @returns the `Cookie` header for a navigation to `url`, '' for none. */
  header(url: URL, use: CookieUse): string {
    return this.#cookies
      .filter((cookie) => cookie.expiresAtMs > Date.now() && belongsTo(cookie, url) && maySend(cookie, url, use))
      .toSorted((left, right) => right.path.length - left.path.length)
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');
  }

  /** The value of a cookie that `url` would get, for tests that look at or tamper with one. */
  get(url: URL, name: string): string | undefined {
    return this.#cookies.find((cookie) => cookie.name === name && belongsTo(cookie, url))?.value;
  }

  /** What a server can see of each cookie and how it is guarded, without its value. */
  list(): { name: string; domain: string; path: string; secure: boolean; httpOnly: boolean; sameSite: string }[] {
    return this.#cookies.map(({ name, domain, path, secure, httpOnly, sameSite }) => ({
      name,
      domain,
      path,
      secure,
      httpOnly,
      sameSite,
    }));
  }

  clear(): void {
    this.#cookies = [];
  }
}

function parseSetCookie(url: URL, line: string): Cookie | undefined {
  const [pair = '', ...rest] = line.split(';');
  const [name, value] = splitOnce(pair);
  const attributes = new Map(rest.map(splitOnce).map(([key, text]) => [key.toLowerCase(), text]));
  const domain = attributes.get('domain')?.replace(/^\./, '').toLowerCase();
  const path = attributes.get('path');
  const sameSite = attributes.get('samesite')?.toLowerCase();
  const cookie: Cookie = {
    name,
    value,
    domain: domain || url.hostname,
    hostOnly: !domain || domain === url.hostname,
    path: path?.startsWith('/') ? path : defaultPath(url),
    secure: attributes.has('secure'),
    httpOnly: attributes.has('httponly'),
    sameSite: sameSite === 'strict' || sameSite === 'none' ? sameSite : 'lax',
    expiresAtMs: expiryOf(attributes),
  };
  return name && isAllowed(cookie, url, attributes.has('domain')) ? cookie : undefined;
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf('=');
  return at < 0 ? [text.trim(), ''] : [text.slice(0, at).trim(), text.slice(at + 1).trim()];
}

function expiryOf(attributes: Map<string, string>): number {
  const maxAge = attributes.get('max-age');
  if (maxAge !== undefined && /^-?\d+$/.test(maxAge)) return Date.now() + Number(maxAge) * 1000;
  const expires = Date.parse(attributes.get('expires') ?? '');
  return Number.isNaN(expires) ? Infinity : expires;
}

function defaultPath({ pathname }: URL): string {
  return pathname.slice(0, Math.max(1, pathname.lastIndexOf('/')));
}

function isAllowed(cookie: Cookie, url: URL, namesDomain: boolean): boolean {
  if (!cookie.hostOnly && !url.hostname.endsWith(`.${cookie.domain}`)) return false;
  if (cookie.secure && !isTrustworthy(url)) return false;
  if (cookie.sameSite === 'none' && !cookie.secure) return false;
  if (cookie.name.startsWith('__Secure-') && !cookie.secure) return false;
  return !cookie.name.startsWith('__Host-') || (cookie.secure && cookie.path === '/' && !namesDomain);
}

function sameCookie(left: Cookie, right: Cookie): boolean {
  return left.name === right.name && left.domain === right.domain && left.path === right.path;
}

function belongsTo(cookie: Cookie, url: URL): boolean {
  const host = url.hostname;
  if (cookie.secure && !isTrustworthy(url)) return false;
  if (host !== cookie.domain && (cookie.hostOnly || !host.endsWith(`.${cookie.domain}`))) return false;
  if (!url.pathname.startsWith(cookie.path)) return false;
  return cookie.path.endsWith('/') || ['', '/'].includes(url.pathname.charAt(cookie.path.length));
}

function maySend({ sameSite }: Cookie, url: URL, { method, initiator }: CookieUse): boolean {
  if (sameSite === 'none' || !initiator || isSameSite(initiator, url)) return true;
  return sameSite === 'lax' && method === 'GET';
}

/** Whether two pages are of one site: same scheme and, lacking a suffix list, same host; ports do not count. */
export function isSameSite(left: URL, right: URL): boolean {
  return left.protocol === right.protocol && left.hostname === right.hostname;
}

function isTrustworthy({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
}
