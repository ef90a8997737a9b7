import { html, page } from './html.ts';

/** What the page says before anybody is sent anywhere. */
export interface ConnectPage {
  readonly purpose: 'connect' | 'reauthorize';
  readonly platformName: string;
  /** The registration's display name, under which the end user knows the provider. */
  readonly providerName: string;
  /** Where the browser goes next. */
  readonly providerHost: string;
  readonly scopes: readonly string[];
  /** Of what is asked for exactly; the provider's own page tells the rest. @source RFC 9396 §2 */
  readonly detailTypes?: readonly string[];
  /** The end user is shown a code, and takes it to the provider on any device. @source RFC 8628 §3.3 */
  readonly showsUserCode?: boolean;
  readonly formToken: string;
}

/** Says who connects what to whom, with one button. */
export function connectPage(view: ConnectPage): string {
  const { purpose, platformName, providerName, providerHost, scopes, formToken, showsUserCode = false } = view;
  const asked = [...scopes, ...(view.detailTypes ?? [])];
  const again = purpose === 'reauthorize';
  const title = again
    ? `Connect ${providerName} to ${platformName} again`
    : `Connect ${providerName} to ${platformName}`;
  const body = html`<p>
      <strong>${platformName}</strong> asks for access to your account at <strong>${providerName}</strong>.
      ${again ? html`Its earlier access has ended.` : html``}
    </p>
    ${
      asked.length === 0
        ? html`<p>It asks for no particular permission.</p>`
        : html`<p id="asks">It asks for:</p>
            <ul aria-labelledby="asks">
              ${asked.map((scope) => html`<li><code>${scope}</code></li> `)}
            </ul>`
    }
    <p>
      ${
        showsUserCode
          ? html`You will be shown a code, and where at ${providerName} you enter it on this or another device.`
          : html`You will sign in and decide at <strong>${providerHost}</strong>.`
      }
      Go on only if you came here from ${platformName} yourself; if somebody sent you this link, close the page.
    </p>
    <form method="post">
      <input type="hidden" name="form_token" value="${formToken}" />
      <button type="submit">${showsUserCode ? 'Show the code' : `Continue to ${providerName}`}</button>
    </form>`;
  return page({ title, body });
}
