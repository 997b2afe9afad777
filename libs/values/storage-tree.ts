/** The folder below a root directory that has all of a registry, as the original registry lays it out. */
export const treeFolder = 'docker/registry/v2';
