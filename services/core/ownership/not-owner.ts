/** Nothing may be written: another core owns the tree, or may. */
export class NotOwnerError extends Error {
  constructor() {
    super('it is not certain that this core alone writes to the storage');
    this.name = 'NotOwnerError';
  }
}
