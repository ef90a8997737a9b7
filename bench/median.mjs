/** The middle of some numbers. */
export function median(numbers) {
  const sorted = [...numbers].sort((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)];
}

/** Runs both sides in turn, so that what else the machine does falls on both; gives the median of each. */
export async function sideBySide({ rounds, baseline, ours }) {
  const figures = { baseline: [], ours: [] };
  for (let round = 0; round < rounds; round += 1) {
    figures.baseline.push(await baseline());
    figures.ours.push(await ours());
  }
  return { baseline: median(figures.baseline), ours: median(figures.ours) };
}

export const round = (number, digits = 3) => Number(number.toFixed(digits));
