import { html, page } from './html.ts';

/** A user code, and where it is entered. */
export interface UserCodePage {
  readonly platformName: string;
  readonly providerName: string;
  readonly userCode: string;
  readonly verificationUri: string;
  readonly refreshS: number;
}

/**
 * Shows a user code until it is over. It looks by itself whether it is, since there is no script.
 *
 * Whoever enters a code that somebody else was shown connects their own account for that person; so the page says whose it
 * is, and the code stands in no URL.
 *
 * @source RFC 8628 §3.3, §5.4
 */
export function userCodePage({ platformName, providerName, userCode, ...rest }: UserCodePage): string {
  const { verificationUri, refreshS } = rest;
  return page({
    title: `Enter this code at ${providerName}`,
    refreshS,
    body: html`<p class="code">${userCode}</p>
      <p>
        Open <a href="${verificationUri}" target="_blank" rel="noopener noreferrer">${verificationUri}</a>, on this or
        another device, and enter the code there. Then come back to this page: it goes on by itself.
      </p>
      <p>
        The code connects the account of whoever enters it to <strong>${platformName}</strong>, for you. Give it to
        nobody, and enter none that somebody sent you.
      </p>`,
  });
}
