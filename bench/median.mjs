/** The middle of some numbers. */
export function median(numbers) {
  const sorted = [...numbers].sort((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)];
}

/**
 * Runs both sides in turn, ours first at the beginning and every other time, so that what else the machine does falls on both.
 *
 * @returns what each round of each side gave
 */
export async function inTurn({ rounds, baseline, ours }) {
  const figures = { baseline: [], ours: [] };
  const sides = [async () => figures.ours.push(await ours()), async () => figures.baseline.push(await baseline())];
  for (let turn = 0; turn < rounds; turn += 1) {
    for (const side of turn % 2 === 0 ? sides : sides.toReversed()) await side();
  }
  return figures;
}

/** The middle of what each round says of itself: a machine that becomes faster in between changes nothing about it. */
export const ratioOf = ({ baseline, ours }) => median(ours.map((one, turn) => one / baseline[turn]));

/** {@link inTurn}; gives the median of each side, and of their ratio. */
export async function sideBySide(sides) {
  const figures = await inTurn(sides);
  return { baseline: median(figures.baseline), ours: median(figures.ours), ratio: ratioOf(figures) };
}

export const round = (number, digits = 3) => Number(number.toFixed(digits));
