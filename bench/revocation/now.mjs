/** A clock that every process of this machine reads alike. */
export const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
