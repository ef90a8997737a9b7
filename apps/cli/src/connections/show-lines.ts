import type { ConnectionView, EventView } from '@postern/contracts';

import { eventLine } from '../events/event-lines.ts';
import { table } from '../output/printer.ts';

const lastEvents = 8;

/** One screen: state, clocks, last events, what to do next. */
export function showLines(view: ConnectionView, events: readonly EventView[]): string[] {
  const { freshness } = view;
  const state = view.suspended ? `${view.authorization}, suspended` : view.authorization;
  return [
    ...table([
      [view.connection_id, ''],
      ['state', state],
      ['health', freshness.reason === null ? freshness.health : `${freshness.health}: ${freshness.reason}`],
      ['provider', `${view.provider} (${view.registration_id})`],
      ['platform', view.platform_id],
      ['scopes', view.scope.join(' ') || '-'],
      ['credential', view.credential_version === null ? 'none' : `version ${view.credential_version}`],
      ['access token ends', freshness.credential_expires_at ?? 'unknown'],
      ['last refreshed', freshness.last_refreshed_at ?? 'never'],
      ['failing since', freshness.refresh_failing_since ?? '-'],
      ['next attempt', freshness.next_attempt_at ?? '-'],
      ['revision', `${view.revision} at position ${view.position}`],
    ]),
    '',
    ...events.slice(-lastEvents).map(eventLine),
    '',
    `next: ${nextStep(view)}`,
  ];
}

function nextStep({
  authorization,
  suspended,
  reauthorize_url: url,
  connection_id: id,
  freshness,
}: ConnectionView): string {
  if (suspended) return `postern connections resume ${id}`;
  switch (authorization) {
    case 'pending':
      return 'the end user finishes the connect session';
    case 'reauthorization_required':
    case 'revoked':
      return `send the end user to ${url ?? 'a new connect session'}`;
    case 'deleted':
      return 'nothing: connect the account anew if it is needed again';
    case 'authorized':
      return freshness.health === 'ok'
        ? 'nothing: it works'
        : `wait for the next attempt, or: postern connections refresh ${id}`;
  }
}
