/**
 * Lets a command end in peace when whoever reads its output has read enough (`postern … | head`).
 *
 * @param goesOn for commands that are not about their output: then nothing is printed any more, and that is all.
 */
export function endWithReader(output: NodeJS.WriteStream, goesOn: boolean): void {
  output.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    if (!goesOn) process.exit();
  });
}
