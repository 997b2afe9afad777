/**
 * How often something is looked for that others move to and fro: a file of an upload that gets another name, an item
 * that a collection takes away and requests bring back. To miss it each time takes one of these moves for each look.
 */
export const maxLooks = 5;
