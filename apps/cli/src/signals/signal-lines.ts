import type { Inspection, WeighedSignal } from '@postern/contracts';

import { table } from '../output/printer.ts';

/** A table of signals, with what each did to how many connections. */
export function signalLines(signals: readonly WeighedSignal[]): string[] {
  if (signals.length === 0) return ['no signals'];
  return table([
    ['POSITION', 'RECEIVED', 'SOURCE', 'TYPE', 'OUTCOME', 'CONNECTIONS', 'REGISTRATION', 'DELIVERY'],
    ...signals.map((signal) => [
      String(signal.position),
      signal.received_at,
      signal.source,
      signal.type,
      signal.outcome,
      countsOf(signal),
      signal.registration_id,
      signal.delivery_id,
    ]),
  ]);
}

function countsOf({ matched, revoked, suspected }: WeighedSignal): string {
  const done = [revoked > 0 ? `${revoked} revoked` : '', suspected > 0 ? `${suspected} suspected` : ''];
  const told = done.filter((text) => text !== '').join(', ');
  return told === '' ? String(matched) : `${matched} (${told})`;
}

/** A table of the last question about each connection. */
export function inspectionLines(inspections: readonly Inspection[]): string[] {
  if (inspections.length === 0) return ['no inspections'];
  return table([
    ['ASKED', 'ANSWER', 'CONNECTION', 'REGISTRATION'],
    ...inspections.map((one) => [one.asked_at, one.outcome, one.connection_id, one.registration_id]),
  ]);
}
