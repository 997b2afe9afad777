/** A file that is open to be read, until it is closed, whatever becomes of its path; `FileHandle` is one. */
export interface ReadableFile {
  /**
   * Reads from a position into a buffer.
   * @returns how many bytes; 0 at the end
   */
  read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesRead: number }>;
  close(): Promise<void>;
}
