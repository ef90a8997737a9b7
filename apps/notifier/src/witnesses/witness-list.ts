import { isHttpsOrLoopback } from '@postern/contracts';
import { parseWitness, type Witness } from '@postern/crypto';

/** A witness, and where it is shown checkpoints. */
export interface WitnessPlace extends Witness {
  /** Its submission prefix. */
  readonly url: string;
}

/**
 * The witnesses of a list: `<verifier key> <submission prefix>`, separated by commas.
 *
 * @throws {Error} in words that the operator reads.
 */
export function witnessesIn(list: string | undefined): WitnessPlace[] {
  const written = (list ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
  const witnesses = written.map((one) => {
    const [key = '', url = '', ...more] = one.split(/\s+/);
    if (more.length > 0 || !isHttpsOrLoopback(url)) {
      throw new Error(`“${one}” is not a verifier key, a space, and an https URL`);
    }
    return { ...parseWitness(key), url: url.replace(/\/+$/, '') };
  });
  const double = witnesses.find(({ key }, place) => witnesses.findIndex((one) => one.key.x === key.x) !== place);
  if (double !== undefined) throw new Error(`the key of ${double.name} stands there twice: one witness is one`);
  return witnesses;
}
