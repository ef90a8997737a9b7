const scopeWords: Readonly<Record<string, string>> = {
  openid: 'Know who you are at Acme CRM',
  offline_access: 'Stay connected while you are away',
  'contacts:read': 'Read your contacts',
  'contacts:write': 'Change your contacts',
};

const style = `body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem;color:#1b1b1b}
label{display:block;margin:.75rem 0 .25rem}input{font:inherit;width:100%;box-sizing:border-box;padding:.5rem}
button{font:inherit;margin:1rem .5rem 0 0;padding:.5rem 1rem}[role=alert]{color:#a30000}`;

/** Escapes what stands between tags or in a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)} – Acme CRM</title><style>${style}</style></head>
<body><main><h1>${escapeHtml(title)}</h1>
${body}
</main></body></html>`;
}

function alert(problem: string | undefined): string {
  return problem ? `<p role="alert">${escapeHtml(problem)}</p>` : '';
}

function scopeList(scopes: readonly string[]): string {
  return `<ul>${scopes.map((scope) => `<li>${escapeHtml(scopeWords[scope] ?? scope)}</li>`).join('')}</ul>`;
}

const loginFields = `<label for="email">E-mail address</label>
<input id="email" name="email" type="email" autocomplete="username" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>`;

interface LoginPage {
  readonly action: string;
  /** Whom the person is on the way to, when an app has sent them here. */
  readonly clientName?: string;
  readonly problem?: string | undefined;
}

/** Asks who it is; on the way to an app it can be left with Cancel, which is a denial. */
export function loginPage({ action, clientName, problem }: LoginPage): string {
  const why = clientName ? `<p>Sign in to continue to <strong>${escapeHtml(clientName)}</strong>.</p>` : '';
  const cancel = clientName ? '<button type="submit" name="decision" value="deny" formnovalidate>Cancel</button>' : '';
  return page(
    'Sign in',
    `${alert(problem)}${why}<form method="post" action="${escapeHtml(action)}">${loginFields}
<button type="submit" name="decision" value="login">Sign in</button>${cancel}</form>`,
  );
}

interface ConsentPage {
  readonly action: string;
  readonly clientName: string;
  readonly email: string;
  readonly scopes: readonly string[];
}

/** Asks whether an app may do what it asks for. */
export function consentPage({ action, clientName, email, scopes }: ConsentPage): string {
  return page(
    `Allow ${clientName}?`,
    `<p>Signed in as ${escapeHtml(email)}. <strong>${escapeHtml(clientName)}</strong> asks to:</p>${scopeList(scopes)}
<form method="post" action="${escapeHtml(action)}">
<button type="submit" name="decision" value="allow">Allow</button>
<button type="submit" name="decision" value="deny">Deny</button></form>`,
  );
}

/** An app that an account has let in. */
export interface ConnectedApp {
  readonly clientId: string;
  readonly clientName: string;
  readonly scopes: readonly string[];
}

interface ConnectedAppsPage {
  readonly email: string;
  readonly apps: readonly ConnectedApp[];
  readonly csrf: string;
}

/** Shows which apps may use the account, each with a button that ends it. */
export function connectedAppsPage({ email, apps, csrf }: ConnectedAppsPage): string {
  const rows = apps.map(
    ({ clientId, clientName, scopes }) => `<section><h2>${escapeHtml(clientName)}</h2>${scopeList(scopes)}
<form method="post" action="/account/apps/revoke">
<input type="hidden" name="csrf" value="${escapeHtml(csrf)}">
<input type="hidden" name="client_id" value="${escapeHtml(clientId)}">
<button type="submit">Remove access of ${escapeHtml(clientName)}</button></form></section>`,
  );
  const body = rows.length > 0 ? rows.join('\n') : '<p>No app has access to this account.</p>';
  return page('Connected apps', `<p>Signed in as ${escapeHtml(email)}.</p>${body}`);
}

/** Takes or confirms a user code. @param form markup of oidc-provider's own */
export function devicePage(title: string, form: string, problem?: string): string {
  return page(title, `${alert(problem)}${form}`);
}

/** Says what went wrong, in the protocol's words. */
export function errorPage(error: string, description: string | undefined): string {
  return page('That did not work', alert(description ? `${error}: ${description}` : error));
}
