import { CookieJar, isSameSite } from './cookie-jar.ts';
import { parseForms, textOf } from './html-forms.ts';
import type { HtmlForm } from './html-forms.ts';

const redirectsMax = 20;

/** Says of an address, before it is fetched, whether the journey ends there. */
export type Until = (url: URL) => boolean;

/** What the browser shows: an answer, or the address it stopped before. */
export interface BrowserPage {
  readonly url: string;
  /** True when `until` said so: the page was not fetched, `status` is 0 and the rest is empty. */
  readonly stopped: boolean;
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
  /** The visible words, for assertions and for errors. */
  readonly text: string;
  readonly forms: readonly HtmlForm[];
}

/** One step of the history: what was asked, and the status that came (0: stopped before it). */
export interface BrowserStep {
  readonly method: string;
  readonly url: string;
  readonly status: number;
}

/** What is typed into a form and which button is pressed. */
export interface FormInput {
  /** The form of `page.forms`; the first when absent. */
  readonly form?: HtmlForm;
  /** Typed values by field name; what is not named is sent as the page has it. */
  readonly fields?: Readonly<Record<string, string>>;
  /** The pressed button's value or visible text; the first button when absent. */
  readonly button?: string;
  readonly until?: Until;
}

interface Navigation {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  readonly body?: URLSearchParams;
  readonly initiator?: URL;
}

/**
 * A person's browser without scripts: cookies, redirects and forms over `fetch`, everything else as servers see it.
 *
 * One instance is one person's browser profile; a second one is somebody else.
 */
export class ScriptedBrowser {
  readonly cookies = new CookieJar();
  readonly history: BrowserStep[] = [];

  /** Goes to an address as if somebody had typed it, and follows redirects. */
  async open(url: string | URL, options: { readonly until?: Until } = {}): Promise<BrowserPage> {
    return this.#navigate({ method: 'GET', url: new URL(url) }, options.until);
  }

  /** Fills in a form of the page and submits it. @throws when the page has no such form or button. */
  async submit(page: BrowserPage, input: FormInput = {}): Promise<BrowserPage> {
    const form = input.form ?? page.forms[0];
    if (!form) throw new Error(`${page.url} (${page.status}) has no form: ${page.text.slice(0, 200)}`);
    const data = formData(form, input, page.url);
    const initiator = new URL(page.url);
    const url = new URL(form.action);
    if (form.method === 'POST') return this.#navigate({ method: 'POST', url, body: data, initiator }, input.until);
    url.search = data.toString();
    return this.#navigate({ method: 'GET', url, initiator }, input.until);
  }

  async #navigate(start: Navigation, until?: Until): Promise<BrowserPage> {
    let navigation = start;
    for (let redirects = 0; redirects <= redirectsMax; redirects += 1) {
      const { method, url } = navigation;
      if (until?.(url)) {
        this.history.push({ method, url: url.href, status: 0 });
        return { url: url.href, stopped: true, status: 0, headers: new Headers(), body: '', text: '', forms: [] };
      }
      const response = await this.#send(navigation);
      this.history.push({ method, url: url.href, status: response.status });
      const location = response.headers.get('location');
      const body = await response.text();
      if (!location || response.status < 300 || response.status > 399) return pageOf(url, response, body);
      navigation = redirected(navigation, response.status, new URL(location, url));
    }
    throw new Error(`more than ${redirectsMax} redirects from ${start.url.origin}${start.url.pathname}`);
  }

  async #send({ method, url, body, initiator }: Navigation): Promise<Response> {
    const headers = new Headers({ accept: 'text/html,application/xhtml+xml', 'accept-language': 'en' });
    const cookie = this.cookies.header(url, { method, initiator });
    if (cookie) headers.set('cookie', cookie);
    headers.set('sec-fetch-site', fetchSite(url, initiator));
    if (method === 'POST' && initiator) headers.set('origin', initiator.origin);
    const response = await fetch(url, { method, headers, redirect: 'manual', ...(body && { body }) });
    this.cookies.store(url, response.headers.getSetCookie());
    return response;
  }
}

function formData(form: HtmlForm, { fields = {}, button }: FormInput, pageUrl: string): URLSearchParams {
  const data = new URLSearchParams(form.fields.map(({ name, value }): [string, string] => [name, value]));
  for (const [name, value] of Object.entries(fields)) {
    if (!data.has(name)) throw new Error(`the form of ${pageUrl} has no field ${name}`);
    data.set(name, value);
  }
  const pressed =
    button === undefined ? form.buttons[0] : form.buttons.find((one) => [one.value, one.text].includes(button));
  if (button !== undefined && !pressed) throw new Error(`the form of ${pageUrl} has no button ${button}`);
  if (pressed?.name) data.append(pressed.name, pressed.value);
  return data;
}

/** 307 and 308 repeat the request; every other redirect is a GET. */
function redirected(navigation: Navigation, status: number, url: URL): Navigation {
  if (status === 307 || status === 308) return { ...navigation, url };
  return { method: 'GET', url, ...(navigation.initiator && { initiator: navigation.initiator }) };
}

function fetchSite(url: URL, initiator: URL | undefined): string {
  if (!initiator) return 'none';
  if (initiator.origin === url.origin) return 'same-origin';
  return isSameSite(initiator, url) ? 'same-site' : 'cross-site';
}

function pageOf(url: URL, response: Response, body: string): BrowserPage {
  const isHtml = response.headers.get('content-type')?.includes('html') ?? false;
  return {
    url: url.href,
    stopped: false,
    status: response.status,
    headers: response.headers,
    body,
    text: isHtml ? textOf(body) : body,
    forms: isHtml ? parseForms(body, url.href) : [],
  };
}
