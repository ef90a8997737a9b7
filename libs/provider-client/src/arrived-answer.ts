export type Bytes = Uint8Array<ArrayBuffer>;

/** An answer of which nobody has read the body yet; it is read once, or discarded. @internal */
export interface ArrivedAnswer {
  readonly status: number;
  /** @param name in small letters. @returns null where there is none; several stand behind each other, with commas. */
  readonly header: (name: string) => string | null;
  /** @returns undefined where it is longer: nobody listens to the rest then. */
  readonly read: (bytesMax: number) => Promise<Bytes | undefined>;
  readonly discard: () => void;
}

/** As `fetch` has it. @internal */
export function arrivedAnswer(response: Response): ArrivedAnswer {
  const body: ReadableStream<Uint8Array> | null = response.body;
  return {
    status: response.status,
    header: (name) => response.headers.get(name),
    read: async (bytesMax) => {
      const chunks: Uint8Array[] = [];
      let length = 0;
      for await (const chunk of body ?? []) {
        length += chunk.byteLength;
        if (length > bytesMax) return undefined;
        chunks.push(chunk);
      }
      return Buffer.concat(chunks);
    },
    discard: () => void body?.cancel().catch(() => undefined),
  };
}
