import type { SimulationReport } from './simulation.ts';

/** A run, line by line; of one that failed, what concerns the connection it failed at. */
export function toldOf(report: SimulationReport): string[] {
  const { seed, lines, violations, connections, simulatedMs, traceHash, states } = report;
  const id = violations[0]?.connectionId ?? '';
  const concerns = lines.filter(({ connectionId }) => id === '' || connectionId === id || connectionId === '');
  const told = concerns.map(({ atMs, connectionId, text }) => {
    const at = new Date(atMs).toISOString();
    return connectionId === '' ? `${at}             ${text}` : `${at} …${connectionId.slice(-8)}   ${text}`;
  });
  const counted = Object.entries(states).map(([state, count]) => `${count} ${state}`);
  const days = (simulatedMs / 86_400_000).toFixed(1);
  return [
    ...told,
    `seed ${seed}: ${connections} connections, ${days} days, ${report.refreshes} refreshes, ${report.leases} leases, ${report.deaths} deaths`,
    `at the end: ${counted.join(', ')}`,
    `trace ${traceHash}`,
    ...violations.map(({ invariant, text }) => `FAILED: ${invariant}: ${text}`),
  ];
}
