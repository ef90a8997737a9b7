import { errorTable, type ErrorCode, type PosternError } from '@postern/contracts';

import { html, page } from './html.ts';

/** What a person can do; for all other errors: start again. */
const sentences: Partial<Record<ErrorCode, string>> = {
  'session.state_mismatch':
    'Start again from the application you came from, in one browser window, with cookies allowed.',
  'session.already_used': 'This was done already. Go back to the application you came from.',
  'session.superseded': 'You began again meanwhile. Go on in the window that you opened last.',
  'session.expired': 'It took too long. Go back to the application you came from and start again.',
  'session.denied': 'The access was not granted. Go back to the application you came from and start again if you wish.',
  'session.issuer_mismatch': 'Start again. If it happens twice, tell the people who run this service.',
};

/** An error as a person reads it. Nothing of the request is repeated. */
export function problemPage(error: PosternError, correlationId: string): string {
  const { title, retry } = errorTable[error.code];
  const otherwise =
    retry === 'later' ? 'Wait a moment, then try again.' : 'Go back to the application you came from and start again.';
  return page({
    title,
    body: html`<p>${sentences[error.code] ?? otherwise}</p>
      <p>
        <small>Error code <code>${error.code}</code>, reference <code>${correlationId}</code></small>
      </p>`,
  });
}
