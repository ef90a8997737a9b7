import type { BrowserPage, ScriptedBrowser, Until } from '../browser/scripted-browser.ts';

const pagesMax = 8;

/** Who signs in at Acme, and what they say to the app. */
export interface LoginAndConsent {
  readonly user: string;
  readonly password: string;
  readonly decision: 'allow' | 'deny';
  /** The address whose arrival ends the journey (query and fragment do not count); it is not fetched. */
  readonly returnUrl: string;
}

/**
 * Drives one connect journey: our page with its one button (or straight Acme's authorization endpoint), Acme's
 * sign-in where the browser has no session yet, Acme's consent, the callback, and the way back.
 *
 * @returns the address at `returnUrl` that the browser was sent to, unfetched, with its query.
 * @throws when a page offers no way on: with its address, status and words.
 */
export async function acmeLoginAndConsent(
  browser: ScriptedBrowser,
  startUrl: string | URL,
  { user, password, decision, returnUrl }: LoginAndConsent,
): Promise<URL> {
  const until: Until = (url) => samePlace(url, new URL(returnUrl));
  let page = await browser.open(startUrl, { until });
  let signedIn = false;
  for (let pages = 0; pages < pagesMax && !page.stopped; pages += 1) {
    if (asksForPassword(page)) {
      if (signedIn) throw new Error(`Acme does not let ${user} in: ${page.text}`);
      signedIn = true;
      page = await browser.submit(page, { fields: { email: user, password }, button: 'login', until });
    } else if (offers(page, decision)) {
      page = await browser.submit(page, { button: decision, until });
    } else {
      page = await browser.submit(page, { until });
    }
  }
  if (!page.stopped) throw new Error(`the journey does not end: still at ${page.url} (${page.status})`);
  return new URL(page.url);
}

/** Who types a user code in at Acme, and what they say to the app. */
export interface EnterUserCode extends Omit<LoginAndConsent, 'returnUrl'> {
  readonly userCode: string;
}

/**
 * Takes a user code to Acme's page for it, on whatever device: signs in, and decides.
 *
 * @returns the last page.
 * @source RFC 8628 §3.3
 */
export async function acmeEnterUserCode(
  browser: ScriptedBrowser,
  verificationUri: string,
  { userCode, user, password, decision }: EnterUserCode,
): Promise<BrowserPage> {
  let page = await browser.open(verificationUri);
  page = await browser.submit(page, { fields: { user_code: userCode }, button: 'Continue' });
  page = await browser.submit(page, { button: 'Continue' });
  for (let pages = 0; pages < pagesMax && (asksForPassword(page) || offers(page, decision)); pages += 1) {
    page = asksForPassword(page)
      ? await browser.submit(page, { fields: { email: user, password }, button: 'login' })
      : await browser.submit(page, { button: decision });
  }
  return page;
}

/** Whose access is taken away by whom. */
export interface RevokeApp {
  readonly user: string;
  readonly password: string;
  readonly clientId: string;
}

/**
 * Takes an app's access away on Acme's connected-apps page, as an end user does it: no client is told.
 *
 * @throws when the sign-in fails or the app has no access to take away.
 */
export async function acmeRevokeApp(
  browser: ScriptedBrowser,
  connectedAppsUrl: string,
  { user, password, clientId }: RevokeApp,
): Promise<BrowserPage> {
  let page = await browser.open(connectedAppsUrl);
  if (asksForPassword(page)) {
    page = await browser.submit(page, { fields: { email: user, password }, button: 'login' });
  }
  const form = page.forms.find(({ fields }) =>
    fields.some(({ name, value }) => name === 'client_id' && value === clientId),
  );
  if (!form) throw new Error(`${clientId} has no access that ${user} could take away: ${page.text}`);
  return browser.submit(page, { form });
}

function asksForPassword(page: BrowserPage): boolean {
  return page.forms.some(({ fields }) => fields.some(({ type }) => type === 'password'));
}

function offers(page: BrowserPage, decision: string): boolean {
  return page.forms.some(({ buttons }) => buttons.some(({ name, value }) => name === 'decision' && value === decision));
}

function samePlace(left: URL, right: URL): boolean {
  return left.origin === right.origin && left.pathname === right.pathname;
}
