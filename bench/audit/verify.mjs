/**
 * `audit verify` over CONNECTIONS in a process of its own, tree, signatures and carried states included: how long it takes,
 * and how much memory it had at most. `POSTERN_BENCH_EVENTS=1000000` makes the log as long as the issue's.
 */
import { startPart } from '../lease/process.mjs';
import { round } from '../median.mjs';

export async function benchVerify({ link, trust, commits }, { result }) {
  const part = startPart('../audit/verifier.mjs');
  try {
    const { seconds, startMiB, mostMiB, messages, findings } = await part.ask({ link: await link('audit'), trust });
    if (findings > 0 || messages !== commits)
      throw new Error(`${messages} of ${commits} verified, ${findings} findings`);
    result.verify = {
      events: commits,
      seconds: round(seconds, 1),
      per_s: round(messages / seconds, 0),
      rss_before_mib: round(startMiB, 0),
      rss_most_mib: round(mostMiB, 0),
    };
  } finally {
    part.end();
  }
}
