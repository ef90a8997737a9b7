/** Tells how far long work is, on one line of a terminal that is written over; nothing where no terminal reads it. */
export interface Progress {
  tell(sentence: string): void;
  /** Leaves the line, so that what is printed next stands below it. */
  end(): void;
}

const clearLine = '\r\u001b[K';

export function createProgress(out: NodeJS.WriteStream = process.stderr): Progress {
  let told = false;
  return {
    tell: (sentence) => {
      if (!out.isTTY) return;
      told = true;
      out.write(`${clearLine}${sentence}`);
    },
    end: () => {
      if (told) out.write('\n');
      told = false;
    },
  };
}
