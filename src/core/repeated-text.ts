/** Reads texts of which most are like the one before, and need not be made again. */
export class RepeatedText {
  #bytes = new Uint8Array(0);
  #text = '';

  /** The UTF-8 text from `from` to `to`. */
  read(data: Buffer, from: number, to: number): string {
    if (!this.#isSame(data, from, to)) {
      this.#bytes = Uint8Array.prototype.slice.call(data, from, to);
      this.#text = data.toString('utf8', from, to);
    }
    return this.#text;
  }

  /** For texts as short as names and topics, cheaper than a call of `compare`. */
  #isSame(data: Buffer, from: number, to: number): boolean {
    const bytes = this.#bytes;
    if (to - from !== bytes.length) return false;
    for (let at = 0; at < bytes.length; at++) {
      if (bytes[at] !== data[from + at]) return false;
    }
    return true;
  }
}
